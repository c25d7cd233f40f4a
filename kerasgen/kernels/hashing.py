"""Hashes of integers as TensorFlow's hashing operations compute them: of their decimal text, or of their bits."""

import numpy as np


def farm_hash(x, *, bins):
    """Bins by FarmHash's Fingerprint64 of the decimal text: (...) → (...)."""
    text, length = decimal_text(x)
    k1, k2 = np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
    mul = k2 + length * np.uint64(2)
    # Each formula is right for some lengths; the others' rows are not used.
    short = shift_mix(short_text(text, length), 47) * k2
    first, last = text_word(text, 0 * length, 4), text_word(text, length - np.uint64(4), 4)
    middle = hash_pair(length + (first << np.uint64(3)), last, mul)
    a, b = text_word(text, 0 * length, 8) + k2, text_word(text, length - np.uint64(8), 8)
    longer = hash_pair(rotate_right(b, 37) * mul + a, (rotate_right(a, 25) + b) * mul, mul)
    a, b = text_word(text, 0 * length, 8) * k1, text_word(text, 0 * length + np.uint64(8), 8)
    c, d = text_word(text, length - np.uint64(8), 8) * mul, text_word(text, length - np.uint64(16), 8) * k2
    longest = hash_pair(rotate_right(a + b, 43) + rotate_right(c, 30) + d, a + rotate_right(b + k2, 18) + c, mul)
    hashes = np.where(length < 4, short, np.where(length < 8, middle, np.where(length <= 16, longer, longest)))
    return (hashes % np.uint64(bins)).astype(np.int64).reshape(x.shape)


def sip_hash(x, *, bins, key):
    """Bins by SipHash-2-4 of the decimal text, with a key of two integers: (...) → (...)."""
    text, length = decimal_text(x)
    starts = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    state = [0 * length + np.uint64(start ^ (key[i % 2] % 2**64)) for i, start in enumerate(starts)]
    for block in range(3):
        here = length // np.uint64(8)
        letters = text_word(text, 0 * length + np.uint64(8 * block), 8)
        letters = np.where(here == block, letters | (length << np.uint64(56)), letters)
        changed = sip_rounds([*state[:3], state[3] ^ letters], 2)
        changed[0] = changed[0] ^ letters
        state = [np.where(here >= block, new, old) for new, old in zip(changed, state)]
    v0, v1, v2, v3 = sip_rounds([*state[:2], state[2] ^ np.uint64(0xFF), state[3]], 4)
    return ((v0 ^ v1 ^ v2 ^ v3) % np.uint64(bins)).astype(np.int64).reshape(x.shape)


def crossed_hash(*xs, bins):
    """Bins of combinations of integers: several (...) → (...)."""
    k = np.uint64(0xC6A4A7935BD1E995)
    hashes = np.full(xs[0].shape, 0xDECAFCAFFE, np.uint64)
    for x in xs:
        hashes = (hashes ^ k ^ (shift_mix(x.astype(np.int64).astype(np.uint64) * k, 47) * k)) * k
        hashes = shift_mix(shift_mix(hashes, 47) * k, 47)
    return (hashes % np.uint64(bins)).astype(np.int64)


def decimal_text(x):
    """The letters of integers in decimal, zeros after them, and their number: (...) → (N, 24), (N,)."""
    letters = x.reshape(-1).astype("S24").view(np.uint8).reshape(-1, 24).astype(np.uint64)
    return letters, np.count_nonzero(letters, axis=1).astype(np.uint64)


def text_word(text, start, size):
    """The letters from `start` on as a little-endian number: (N, 24), (N,) → (N,)."""
    at = np.clip(start.astype(np.int64)[:, np.newaxis] + np.arange(size), 0, 23)
    shifts = np.arange(size, dtype=np.uint64) * np.uint64(8)
    return np.bitwise_or.reduce(np.take_along_axis(text, at, axis=1) << shifts, axis=1)


def short_text(text, length):
    """FarmHash's sum of the first, the middle and the last letter of up to three."""
    k0, k2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0x9AE16A3B2F90404F)
    first, middle = text_word(text, 0 * length, 1), text_word(text, length // np.uint64(2), 1)
    last = text_word(text, length - np.uint64(1), 1)
    y, z = first + (middle << np.uint64(8)), length + (last << np.uint64(2))
    return (y * k2) ^ (z * k0)


def hash_pair(u, v, mul):
    """FarmHash's hash of two numbers."""
    a = shift_mix((u ^ v) * mul, 47)
    return shift_mix((v ^ a) * mul, 47) * mul


def shift_mix(x, shift):
    """The bits of a number, mixed with those `shift` places higher."""
    return x ^ (x >> np.uint64(shift))


def rotate_right(x, places):
    """The bits of a number, rotated to the right."""
    return (x >> np.uint64(places)) | (x << np.uint64(64 - places))


def sip_rounds(state, count):
    """Rounds of SipHash on four numbers."""
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0, v2 = v0 + v1, v2 + v3
        v1, v3 = rotate_right(v1, 51) ^ v0, rotate_right(v3, 48) ^ v2
        v0, v2 = rotate_right(v0, 32) + v3, v2 + v1
        v1, v3 = rotate_right(v1, 47) ^ v2, rotate_right(v3, 43) ^ v0
        v2 = rotate_right(v2, 32)
    return [v0, v1, v2, v3]
