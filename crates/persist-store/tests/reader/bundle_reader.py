#!/usr/bin/env python3
"""Reads a bundle by docs/format-bundle.md alone, checks every byte of it, and prints what it holds.

    bundle_reader.py FILE

First the lines of the manifest; then `blob NAME BYTES` in hexadecimal; then for a whole store `record KEY VALUE`, for an increment
`beat COMMITS` and `commit LOG`.
"""

import struct
import sys

CHUNK = 262144
MASK = 0xFFFFFFFF


def need(fits, what):
    if not fits:
        sys.exit(f"refused: {what}")


# CRC-32C, bit by bit turned into a table.
CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = MASK
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ MASK


# BLAKE3 as its specification describes it, unkeyed, 32 bytes out.
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
START, END, PARENT, ROOT = 1, 2, 4, 8


def mix(v, a, b, c, d, x, y):
    def turn(word, by):
        return (word >> by | word << (32 - by)) & MASK

    v[a] = (v[a] + v[b] + x) & MASK
    v[d] = turn(v[d] ^ v[a], 16)
    v[c] = (v[c] + v[d]) & MASK
    v[b] = turn(v[b] ^ v[c], 12)
    v[a] = (v[a] + v[b] + y) & MASK
    v[d] = turn(v[d] ^ v[a], 8)
    v[c] = (v[c] + v[d]) & MASK
    v[b] = turn(v[b] ^ v[c], 7)


def compress(chain, block, counter, length, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(
            [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
             (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
        ):
            mix(v, a, b, c, d, words[2 * at], words[2 * at + 1])
        words = [words[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def subtree(data, first, root):
    """The chaining value over `data`, whose first 1024 bytes are number `first`."""
    if len(data) <= 1024:
        chain, blocks = IV, [data[at:at + 64] for at in range(0, max(len(data), 1), 64)]
        for at, block in enumerate(blocks):
            last = at + 1 == len(blocks)
            flags = (START if at == 0 else 0) | (END | root if last else 0)
            chain = compress(chain, block, first, len(block), flags)
        return chain
    left = 1024
    while left * 2 < len(data):
        left *= 2
    halves = subtree(data[:left], first, 0) + subtree(data[left:], first + left // 1024, 0)
    return compress(IV, struct.pack("<16I", *halves), 0, 64, PARENT | root)


def blake3(data):
    return struct.pack("<8I", *subtree(data, 0, ROOT))


def chunks(data):
    """Kind and payload of each chunk."""
    at = len(b"persist-bundle 1\n")
    need(data[:at] == b"persist-bundle 1\n", "not a bundle of this version")
    while at < len(data):
        need(at + 5 <= len(data), f"cut at {at}")
        kind, length = struct.unpack_from("<BI", data, at)
        end = at + 5 + length
        need(1 <= kind <= 4 and 1 <= length <= CHUNK and end + 4 <= len(data), f"chunk at {at}")
        need(crc32c(data[at:end]) == struct.unpack_from("<I", data, end)[0], f"checksum at {at}")
        yield kind, data[at + 5:end]
        at = end + 4


def gather(data):
    """Names and bytes of the parts, and the manifest."""
    parts, manifest, ended, short = [], b"", False, False
    for kind, payload in chunks(data):
        need(not ended, "something follows the end")
        if kind == 1:
            need(manifest == b"", "a part after the manifest")
            parts.append((payload.decode("ascii"), b""))
            short = False
            continue
        if kind == 4:
            need(payload == blake3(manifest), "the manifest's BLAKE3")
            ended = True
            continue
        need(parts, "bytes of no part")
        if kind == 3 and manifest == b"":
            short = False
        need(not short, "a chunk after one that is not full")
        short = len(payload) < CHUNK
        if kind == 2:
            need(manifest == b"", "bytes of a part after the manifest")
            parts[-1] = (parts[-1][0], parts[-1][1] + payload)
        else:
            manifest += payload
    need(ended, "no end")
    return parts, manifest


def number(part, at):
    need(at + 8 <= len(part), "a number is cut")
    return struct.unpack_from("<Q", part, at)[0], at + 8


def counted(part, at):
    length, at = number(part, at)
    need(at + length <= len(part), "an item is cut")
    return part[at:at + length], at + length


def records(part):
    at, rows = 0, []
    while at < len(part):
        key, at = counted(part, at)
        value, at = counted(part, at)
        need(not rows or rows[-1][0] < key, "keys do not rise")
        rows.append((key, value))
    return rows


def beats(part):
    at, rows = 0, []
    while at < len(part):
        commits, at = number(part, at)
        need(commits > 0, "a beat without commits")
        logs = []
        for _ in range(commits):
            log, at = counted(part, at)
            need(log[:4] == b"PBL1", "not a log")
            logs.append(log)
        rows.append(logs)
    return rows


def sizes(log):
    """Bytes of the key and value of each operation of a log."""
    at = 12
    while at < len(log):
        kind = log[at]
        if kind == 1:
            key, value = struct.unpack_from("<II", log, at + 1)
            at += 9 + key + value
            yield key, value
        elif kind == 2:
            key = struct.unpack_from("<I", log, at + 1)[0]
            at += 5 + key
            yield key, 0
        else:
            need(kind == 3, "an unknown operation")
            start, end = struct.unpack_from("<II", log, at + 3)
            at += 11 + start + end


def root_of(logs):
    level = [blake3(log) for log in logs]
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        level = [blake3(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0].hex()


def hexed(data):
    return data.hex() or "-"


def main(path):
    with open(path, "rb") as file:
        parts, manifest = gather(file.read())
    names = [name for name, _ in parts]
    need(names == sorted(set(names)), "parts out of order")
    for name, data in parts[:-1]:
        digits = blake3(data).hex()
        need(name == f"cas/{digits[:2]}/{digits}.blob", f"the name {name}")
    lines = manifest.decode("ascii").splitlines()
    says = dict(line.split(" = ") for line in lines if not line.startswith("part = "))
    last, data = parts[-1]
    found = dict(says)
    if says["content"] == "store":
        need(last == "records", "no records")
        rows = records(data)
        told = [f"record {hexed(key)} {hexed(value)}" for key, value in rows]
        pairs = [(len(key), len(value)) for key, value in rows]
        found["digest"] = blake3(data).hex()
        found["records"], found["bytes"] = str(len(rows)), str(sum(map(sum, pairs)))
    else:
        need(says["content"] == "increment" and last == "commits", "no commits")
        rows = beats(data)
        told = [line for logs in rows for line in (f"beat {len(logs)}", *(f"commit {log.hex()}" for log in logs))]
        pairs = [pair for logs in rows for log in logs for pair in sizes(log)]
        found["beat"] = str(int(says["base-beat"]) + len(rows))
        if rows:
            newest = int(says["base-commit"]) + sum(map(len, rows))
            found["commits"] = str(len(rows[-1]))
            found["first-commit"] = str(newest - len(rows[-1]) + 1)
            if says["root"] != "none":
                found["root"] = root_of(rows[-1])
    found["persist-bundle"] = "1"
    found["key-bytes-max"] = str(max((key for key, _ in pairs), default=0))
    found["value-bytes-max"] = str(max((value for _, value in pairs), default=0))
    found["parts"] = str(len(parts))
    base = ["base-beat", "base-commit", "base-digest"] if says["content"] == "increment" else []
    order = ["persist-bundle", "content", *base, "beat", "first-commit", "commits", "root", "digest", "records", "bytes"]
    order += ["key-bytes-max", "value-bytes-max", "parts"]
    expected = [f"{key} = {found[key]}" for key in order]
    expected += [f"part = {name} {len(data)} {blake3(data).hex()}" for name, data in parts]
    need(lines == expected and manifest.endswith(b"\n"), "the manifest does not fit what was read")
    print(manifest.decode("ascii"), end="")
    for name, data in parts[:-1]:
        print("blob", name, hexed(data))
    print(*told, sep="\n")


main(sys.argv[1])
