"""The parity cases whose gradients are not compared with TensorFlow's, each with the reason."""

HALF = "TensorFlow computes it in half precision"

ROUNDED = "the gradient goes straight through rounding, as in Keras's other int8 layers; in this one it does not"

FLOAT8 = "TensorFlow raises: the gradient that Keras's float8 layers define for themselves returns too many values"

NO_GRADIENT: dict[str, str] = {
    "auto_contrast flat": "TensorFlow's gradient of an image of one colour is NaN",
    **dict.fromkeys(
        (
            *("bfloat16", "bfloat16 then float32", "float16", "int8 mixed precision"),
            *("mixed_bfloat16 then float32", "mixed_float16", "mixed_float16 then float32"),
        ),
        HALF,
    ),
    **dict.fromkeys(("int8 reversible_embedding", "int8 reversible_embedding untied"), ROUNDED),
    **{
        name: f"{name.split('.')[1].split()[0]} has no derivative here"
        for name in (
            *("ops.corrcoef", "ops.correlate", "ops.correlate full 3", "ops.correlate full 4"),
            *("ops.correlate same 3", "ops.correlate same 4", "ops.vander", "ops.vander increasing"),
        )
    },
    "ops.cast of float16": HALF,
    "ops.cast to bfloat16": HALF,
    "ops.cast to float16": HALF,
    **{
        f"float8 {name}": FLOAT8
        for name in (
            "dense",
            "dense of vector",
            "einsum_dense",
            "einsum_dense ellipsis",
            "einsum_dense heads",
            "einsum_dense kept axis",
            "einsum_dense turned",
            "einsum_dense two axes",
            "stack",
        )
    },
    "ops.conv_transpose": "Keras cannot call it on an eager tensor",
    "ops.conv_transpose 3d": "Keras cannot call it on an eager tensor",
    "ops.ctc_loss": "ctc_loss has no derivative here",
    "ops.ctc_loss blank last": "ctc_loss has no derivative here",
    "ops.saturate_cast infinite": "it multiplies by infinity, so that the gradients are NaN",
    "attention concat scale scores": "terms of the scale's gradient cancel, of which TensorFlow keeps four digits",
    "grouped_query_attention one group": "that of the keys' bias is 0, where TensorFlow has rounding errors",
    "ops.irfft odd": "TensorFlow's gradient fails where the number of frequencies is not that of the length",
    "ops.lu_factor": "TensorFlow has no gradient of it",
    "ops.polar": "its output is complex",
    "ops.qr complete": "TensorFlow has no gradient of a complete factorization of a tall matrix, nor have we",
    "ops.qr complete product": "TensorFlow has no gradient of a complete factorization of a tall matrix, nor have we",
    "ops.resize area": "TensorFlow has no gradient of it",
    "ops.rfft shorter": "TensorFlow's gradient fails where the signal is cut",
    "ops.scale_and_translate by tensors": "scale_and_translate has no derivative here but in the image",
    "ops.scale_and_translate whole": "Keras cannot call it on an eager tensor of integers",
    "ops.svd full": "TensorFlow has no gradient of full matrices unless they are almost square, nor have we",
    "ops.view_as_complex": "Keras cannot call it on an eager tensor",
    "ops.histogram": "Keras cannot run its own model",
    "ops.histogram counts": "Keras cannot run its own model",
    "ops.histogram range": "Keras cannot run its own model",
    "ops.slice_update": "TensorFlow has no gradient of XlaDynamicUpdateSlice",
    "ops.slice_update clamped": "TensorFlow has no gradient of XlaDynamicUpdateSlice",
    "ops.slice_update of array": "TensorFlow has no gradient of XlaDynamicUpdateSlice",
}
