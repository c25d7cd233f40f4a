"""The final check of a generated module: it can compute, and nothing else.

A Python program acts only through builtins, imported modules and attributes. All three are checked against `ALLOWED`: a
module that uses no others cannot reach a file, a process or the network, whatever its calls look like. The functions
that load the weights and serve the command line may do more; the user's own functions are not checked.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

import numpy as np

from kerasgen.emit import pure_runtime
from kerasgen.emit.runtime import (
    dtypes,
    files,
    inputs,
    program,
    selftest,
    streaming,
    thread_team,
    tiles,
    tuning,
    weights,
    workers,
)
from kerasgen.kernels import team


class Reach(NamedTuple):
    """What a part of a module may use: modules to import, builtins, attributes of anything."""

    modules: frozenset[str]
    names: frozenset[str]
    attributes: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UFUNCS = frozenset(name for name, value in vars(np).items() if isinstance(value, np.ufunc))
_NUMPY = _UFUNCS | _words("""
    all amax amin angle any append apply_along_axis arange argmax argmin argpartition argsort argwhere around array
    array_equal array_split asarray ascontiguousarray atleast_1d atleast_2d atleast_3d average bartlett bincount
    blackman bool_ broadcast_arrays broadcast_to clip column_stack complex128 complex64 compress concatenate
    convolve copy corrcoef correlate count_nonzero cov cross cumprod cumsum delete diag diag_indices diagflat diagonal
    diff digitize dot dsplit dstack dtype ediff1d einsum empty empty_like errstate expand_dims extract eye finfo fix
    flatnonzero flip fliplr flipud float16 float32 float64 full full_like gradient hamming hanning histogram hsplit
    hstack i0 identity iinfo imag in1d indices inf inner int16 int32 int64 int8 interp intersect1d isclose
    iscomplexobj isfinite isin isnan isneginf isposinf isreal ix_ kaiser kron lexsort linspace logspace max maximum
    mean median meshgrid min minimum moveaxis nan nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean
    nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndarray ndim ndindex newaxis nonzero
    ones ones_like outer pad partition percentile pi piecewise poly polyval prod ptp put_along_axis quantile ravel
    ravel_multi_index real real_if_close repeat reshape resize result_type roll rollaxis rot90 round searchsorted
    select setdiff1d setxor1d shape sinc size sort split squeeze stack std sum swapaxes take take_along_axis
    tensordot tile trace transpose trapz tri tril tril_indices trim_zeros triu triu_indices uint16 uint32 uint64
    uint8 union1d unique unpackbits unravel_index unwrap vander var vdot vectorize void vsplit vstack where zeros
    zeros_like
    """)
_LINALG = _words("LinAlgError cholesky cond det eig eigh eigvals inv matrix_rank norm pinv qr slogdet solve svd")
FUNCTIONS = _NUMPY | _LINALG  # of NumPy: none of them touches anything but arrays
_SIGNAL = _words("fft fft2 ifft ifft2 irfft irfft2 rfft rfft2")
_VALUES = _words("""
    T all any append as_strided astype at base c_contiguous clear copy count dtype endswith eps erfc extend fill flags
    flat get index items itemsize join keys kind lib linalg lower max mean min name ndim nbytes pop prod ravel real
    imag reduce reshape setflags shape size sort split squeeze startswith stride_tricks strides sum swapaxes take tiny
    tolist transpose type update upper values var view
    """)
_COMPUTING = Reach(
    modules=_words("numpy math"),
    names=_words("""
        ValueError IndexError abs all any bool bytes complex dict divmod enumerate float int isinstance iter len list
        map max min next pow range reversed round set slice sorted str sum tuple zip
        """),
    attributes=FUNCTIONS | _SIGNAL | _VALUES,
)
# What `kerasgen.kernels.threads` and `kerasgen.kernels.matmul` need.
_SHARING = Reach(
    modules=_words("collections contextlib queue threading time"),
    names=_words("AttributeError BaseException KeyError RuntimeError hasattr"),
    attributes=_words("""
        CONFIG RLock SimpleQueue Thread __config__ acquire apart barrier buffers calls contextmanager deque is_alive
        isdecimal local memory on_samples perf_counter popleft processes products put rank release samples share shares
        start stop threads writeable
        """),
)
# The settings and the state of `kerasgen.kernels.optimizers`.
_LEARNING = _words("beta_1 beta_2 epsilon iterations learning_rate m momentum nesterov rho setdefault v velocity")
_RUNNING = Reach(
    modules=_words("PIL.Image argparse json platform signal sys zipfile"),
    names=_words("""
        AttributeError Exception ImportError KeyError OSError PIL SystemExit TypeError hasattr memoryview open print
        """),
    attributes=_words("""
        ArgumentParser BytesIO CONFIG Image RawIOBase SEEK_END SEEK_SET SIGPIPE SIG_DFL ZipFile __code__ __config__
        __version__ a2b_base64 add_argument argv array2string blas_opt_info co_filename co_name convert decode dumps
        encode error executable exit f_back f_code files format get_data getbuffer getprofile hexdigest isdir isfile
        lines load loads loadtxt machine mode open output parse_args path popitem position prog python_version read
        read_array readline replace rpartition save savetxt savez seek seekable selftest setprofile sha256 signal start
        step strip tell width write
        batch exists parse_known_args perf_counter print_usage processor sort strerror tune
        """),
)
# What `kerasgen.kernels.team` and the teams of `kerasgen.emit.runtime` need: they start Python on the module's source.
_STARTING_PROCESSES = Reach(
    modules=_words(
        "contextlib ctypes json mmap os queue signal subprocess sys tempfile threading time warnings weakref"
    ),
    names=_words("""
        ArithmeticError AttributeError BaseException ImportError KeyError MemoryError OSError RuntimeError TypeError
        UnicodeDecodeError getattr hasattr memoryview open type
        """),
    attributes=_words("""
        CDLL Lock PIPE Popen RLock SimpleQueue TemporaryFile Thread __file__ __globals__ __name__ _exit
        _umath_linalg acquire answer answers apart barrier basename buffer calls chunks close
        contextmanager counters cpu_count detach dumps dup dup2 encode end environ executable fault fdopen fence
        fileno finalize flush forget fromkeys ftruncate get_source getppid hand_over hex inputs isdecimal key
        kill leave length loads local lock memfd_create memory mmap on_samples other path place places platform
        processes products put rank readline register_at_fork release results returncode samples sched_getaffinity
        sched_setaffinity set_threads seterr sleep spin splitlines start stdin stdout steps str suppress swap
        threads urandom used wait warn watches_forks weights workers write writeable yielded
        """),
)
_STARTING = Reach(
    modules=_words("binascii collections contextlib hashlib io os queue sys threading time weakref"),
    names=_words("globals __name__"),
    attributes=_words("path join dirname abspath cpu_count environ"),
)
# `predict` and the kernels, the functions of `kerasgen.emit.runtime`, and the lines outside of any function.
ALLOWED = {
    "kernels": Reach(*map(frozenset.union, _COMPUTING, _SHARING, Reach(frozenset(), frozenset(), _LEARNING))),
    "processes": Reach(*map(frozenset.union, _COMPUTING, _STARTING_PROCESSES)),
    "runtime": Reach(*map(frozenset.union, _COMPUTING, _STARTING, _RUNNING)),
    "lines": Reach(*map(frozenset.union, _COMPUTING, _STARTING)),
}

# The same of a module without NumPy, whose kernels are those of `kerasgen.pure_kernels`.
_LISTS = Reach(
    modules=_words("math sys"),
    names=_words("""
        OverflowError ValueError abs all any array bool dict enumerate float getattr int isinstance len list map max min
        mul range reversed round sum tuple zip
        """),
    attributes=_words("""
        acos append asin atan atan2 ceil copysign cos cosh erf exp expm1 floor implementation index insert log name
        pow sin sinh sqrt tan tanh
        """),
)
_LISTS_STARTING = Reach(_words("binascii hashlib io json"), _words("__file__ __name__"), _words("BytesIO a2b_base64"))
_LISTS_RUNNING = Reach(
    modules=frozenset(),
    names=_words("IndexError KeyError OSError TypeError divmod hasattr open print set str type"),
    attributes=_words("""
        __name__ argv byteorder byteswap decode digest dumps exit format hexlify join load platform read readinto
        replace rpartition seek sha256 stderr stdin stdout tolist update version
        """),
)
ALLOWED_WITHOUT_NUMPY = {
    "kernels": _LISTS,
    "runtime": Reach(*map(frozenset.union, _LISTS, _LISTS_STARTING, _LISTS_RUNNING)),
    "lines": Reach(*map(frozenset.union, _LISTS, _LISTS_STARTING)),
}
_FROM = {"from array import array", "from operator import mul"}


def _defined(module: ModuleType) -> set[str]:
    return {name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__}


_RUNTIME = set().union(
    *map(_defined, (program, files, selftest, streaming, tiles, tuning, inputs, weights, dtypes, pure_runtime))
)
_PROCESSES = set().union(*map(_defined, (team, thread_team, workers)))
_LOADERS = {"load", "read_array"}  # NumPy's functions that can unpickle


def audit(text: str, yours: Collection[str] = (), *, allowed: Mapping[str, Reach] = ALLOWED) -> None:
    """Raise AssertionError, naming the line, where a module uses anything that is not allowed.

    `yours` are the functions, constants and import lines that come from the user, which are not checked.
    """
    assert yours or all(line.isprintable() for line in text.split("\n")), "the module holds unprintable characters"
    statements = [
        (statement, [node for node in ast.walk(statement) if type(node) in _CHECKED])
        for statement in ast.parse(text).body
    ]
    bound = {name for _, nodes in statements for node in nodes for name in _bound(node)}
    for statement, nodes in statements:
        label = ast.unparse(statement) if isinstance(statement, ast.Import) else next(_bound(statement), "")
        if label not in yours:
            for line, fault in _faults(nodes, allowed[_part(statement)], bound):
                raise AssertionError(f"line {line} of the module {fault}")


def _part(statement: ast.stmt) -> str:
    if not isinstance(statement, _DEFINITIONS):
        return "lines"
    if statement.name in _PROCESSES:
        return "processes"
    return "runtime" if statement.name in _RUNTIME else "kernels"


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What names something or binds a name, a third of all nodes; an assignment binds by the names in it.
_CHECKED = {ast.Import, ast.ImportFrom, ast.Attribute, ast.Name, ast.Call, ast.arg, ast.ExceptHandler, *_DEFINITIONS}


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement or an expression binds, imports excepted."""
    if isinstance(node, _DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _bound(target)


def _faults(nodes: Iterable[ast.AST], reach: Reach, bound: Collection[str]) -> Iterator[tuple[int, str]]:
    names = {"np", *bound, *reach.names, *reach.modules}
    imports = {f"import {module}".replace("numpy", "numpy as np") for module in reach.modules} | _FROM
    for node in nodes:
        text = ""
        if isinstance(node, (ast.Import, ast.ImportFrom)) and ast.unparse(node) not in imports:
            text = ast.unparse(node)
        elif isinstance(node, ast.Attribute) and node.attr not in reach.attributes:
            text = f".{node.attr}"
        elif isinstance(node, ast.Name) and node.id not in names:
            text = node.id
        elif isinstance(node, ast.Call) and _unpickles(node):
            text = f"{ast.unparse(node)} without allow_pickle=False"
        else:
            text = " ".join(name for name in _bound(node) if name in vars(builtins))
        if text:
            yield getattr(node, "lineno", 0), f"holds {text}"


def _unpickles(call: ast.Call) -> bool:
    named = isinstance(call.func, ast.Attribute) and call.func.attr in _LOADERS
    return (
        named and ast.unparse(call.func) != "json.load" and "allow_pickle=False" not in map(ast.unparse, call.keywords)
    )
