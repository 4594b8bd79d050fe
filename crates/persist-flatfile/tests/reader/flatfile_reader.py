#!/usr/bin/env python3
"""Reads a flatfile store by docs/format-flatfile.md alone, with nothing but the standard library.

    flatfile_reader.py [--values] HOME

Prints "beat <number>", then every record of the newest beat in order of keys: the key in hexadecimal, the length of the
value, its CRC-32C and its SHA-256; with --values the value in hexadecimal instead. Nothing is written and nothing is
locked, so the store must not be open. Whatever does not verify ends it with a sentence and exit code 1, except a torn tail.
"""
import hashlib
import os
import re
import struct
import sys

MASK = (1 << 64) - 1
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def need(fits, what):
    if not fits:
        sys.exit(f"{sys.argv[-1]}: {what}")


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def varint(data, at):
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def counted(data, at):
    size, at = varint(data, at)
    return data[at:at + size], at + size


def bound(data, at):
    kind, at = data[at], at + 1
    key, at = counted(data, at) if kind else (b"", at)
    return (kind, key), at


def covers(start, end, key):
    after = start[0] == 0 or key > start[1] or key == start[1] and start[0] == 1
    return after and (end[0] == 0 or key < end[1] or key == end[1] and end[0] == 1)


def beat_of(header):
    need(header[:4] == b"PBH1", "no beat header")
    word = 0x7065727369737421
    for at in range(0, 64, 8):
        word = (word ^ u64(header, at)) * 0x9E3779B97F4A7C15 & MASK
        word = (word << 29 | word >> 35) & MASK
    need(word == u64(header, 64), "the check word of a beat header differs")
    return u64(header, 8)


class Run:
    """One sorted run, by its foot, top index and index blocks."""

    def __init__(self, data, number):
        self.data, self.number, self.name = data, number, f"branch.ckp.{number:08}"
        foot = self.block(len(data) - 272, 8)[0]
        need(foot == self.block(0, 1)[0], f"{self.name}: head and foot differ")
        need((u32(foot, 0), u32(foot, 4)) == (1, number), f"{self.name}: format or number")
        self.after, self.upto, _, _, self.floor, length, self.records = struct.unpack_from("<7Q", foot, 8)
        need(length == len(data), f"{self.name}: length")
        self.top, self.ranges_at, self.ranges = u64(foot, 128), u64(foot, 144), u64(foot, 152)
        self.beat = beat_of(foot[176:248]) if u64(foot, 168) else 0

    def block(self, at, kind):
        head = self.data[at:at + 24]
        need(head[:4] == b"PR" + bytes([kind, 0]), f"{self.name}: at {at}: no block of kind {kind}")
        payload = self.data[at + 24:at + 24 + u32(head, 4)]
        place = struct.pack("<IQ", self.number, at)
        need(crc32c(place + head[:20] + payload) == u32(head, 20), f"{self.name}: at {at}: checksum")
        return payload, u32(head, 16), at + 24 + len(payload)

    def children(self, at, kind, width):
        payload, count, _ = self.block(at, kind)
        need(u32(payload, 8) == count, f"{self.name}: at {at}: entries")
        values = 16 + 8 * count
        return [payload[values + width * n:values + width * (n + 1)] for n in range(count)]

    def versions(self):
        seen = 0
        for group in self.children(self.top, 7, 16):
            index = u64(group, 0)
            for child in self.children(index, 4, 8):
                payload, count, _ = self.block(index - 8 * u32(child, 0), 2)
                need(u32(payload, len(payload) - 4) >> 1 == count, f"{self.name}: records of a block")
                at, seen = 0, seen + count
                for _ in range(count):
                    first, at = varint(payload, at)
                    kind, size, newer = first & 3, 0, 0
                    if kind <= 1:
                        size, at = varint(payload, at)
                    if kind != 0:
                        newer, at = varint(payload, at)
                    size = 24 if kind == 2 else size
                    key, at = payload[at:at + (first >> 2)], at + (first >> 2)
                    value, at = payload[at:at + size], at + size
                    yield key, self.floor + newer, ("inline", "inline", "large", None)[kind], value
        need(seen == self.records, f"{self.name}: {seen} records, not {self.records}")

    def range_deletes(self):
        left, at = self.ranges, self.ranges_at
        while left:
            payload, count, end = self.block(at, 5)
            left, at, here = left - count, end + 7 & ~7, 0
            for _ in range(count):
                kind = payload[here]
                beat, here = varint(payload, here + 1)
                start, here = bound(payload, here)
                stop, here = bound(payload, here)
                need(kind == 0, f"{self.name}: what beat {beat} wrote is lost")
                yield beat, start, stop

    def apply(self, records):
        ranges = list(self.range_deletes())
        for key in [key for key in records if any(covers(a, b, key) for _, a, b in ranges)]:
            del records[key]
        last = None
        for key, beat, kind, value in self.versions():
            need(last is None or last <= key, f"{self.name}: order of keys")
            if key != last:
                hidden = any(covers(a, b, key) and beat < t for t, a, b in ranges)
                records.pop(key, None)
                if kind and not hidden:
                    records[key] = (kind, value)
            last = key


class Home:
    def __init__(self, path):
        self.path = path
        slots = [self.read("branch.meta")[at:at + 4096] for at in (0, 4096)]
        slots = [s for s in slots if s[:4] == b"PBM1" and len(s) == 4096 and crc32c(s[8:]) == u32(s, 4)]
        need(slots, "branch.meta: no slot verifies")
        self.head = max(slots, key=lambda slot: u64(slot, 8))
        need(u32(self.head, 24) == 1, "branch.meta: another format")
        self.store = u64(self.head, 16)
        self.records, self.beat, self.frame = {}, 0, 0

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    def numbers(self, stem):
        found = [re.fullmatch(re.escape(stem) + r"(\d{8,10})", name) for name in os.listdir(self.path)]
        return sorted(int(match[1]) for match in found if match)

    def load(self):
        runs = [Run(self.read(f"branch.ckp.{n:08}"), n) for n in self.numbers("branch.ckp.")]
        live = []
        for run in sorted(runs, key=lambda run: (run.after - run.upto, -run.number)):
            if not any(other.after <= run.after and run.upto <= other.upto for other in live):
                live.append(run)
        for run in sorted(live, key=lambda run: run.after):
            need(run.after == self.frame, f"{run.name}: frames {self.frame + 1} to {run.after} are in no run")
            run.apply(self.records)
            self.frame, self.beat = run.upto, max(run.beat, self.beat)
        self.timeline()
        need(self.frame >= u64(self.head, 32), f"frames after {self.frame} are lost")
        values = {number: self.read(f"branch.dat.{number:08}") for number in self.numbers("branch.dat.")}
        for key, (kind, value) in sorted(self.records.items()):
            if kind == "large":
                segment, crc, at, size = struct.unpack("<IIQQ", value)
                value = values[segment][at:at + size]
                need(len(value) == size and crc32c(value) == crc, f"branch.dat.{segment:08}: at {at}: value")
            yield key, value

    def timeline(self):
        segments, ends, following = [], {}, {}
        for number in self.numbers("branch.idx."):
            data = self.read(f"branch.idx.{number:08}")
            if any(data[:64]):
                need(data[:4] == b"PBTS" and crc32c(data[8:64]) == u32(data, 4), f"segment {number}: header")
                need((u32(data, 8), u32(data, 12)) == (1, number), f"segment {number}: format or number")
                if u64(data, 16) == self.store:
                    segments.append((number, data))
                    ends[u32(data, 32)] = u64(data, 40)
        chain = None
        for number, data in segments:
            at, end = 64, ends.get(number, len(data))
            expected = u64(data, 24)
            if chain is None and expected > self.frame + 1:
                need(False, f"frames {self.frame + 1} to {expected - 1} are missing")
            while at + 32 <= end:
                place = crc32c(struct.pack("<QIQ", self.store, number, at))
                head = data[at:at + 32]
                if head[:4] != b"PBT1" or crc32c(head[8:], place) != u32(head, 4):
                    break
                frame, beat, size = struct.unpack_from("<3Q", head, 8)
                foot = at + 32 + size
                footer = data[foot:foot + 120]
                if len(footer) < 120 or crc32c(data[at:foot + 112], place) != u32(footer, 112):
                    break
                need(footer[116:] == b"PBTE" and beat_of(footer[40:112]) == beat, f"frame {frame}: footer")
                need(frame == expected and chain in (None, u64(footer, 16)), f"frame {frame}: out of order")
                if frame > self.frame:
                    self.apply(data[at + 32:foot], u64(footer, 0))
                    self.frame, self.beat = frame, beat
                chain, expected = digest(footer), frame + 1
                at = foot + 120 + 7 & ~7
            need(number not in ends or at == end, f"branch.idx.{number:08}: at {at}: damaged")

    def apply(self, body, ops):
        at = 0
        for _ in range(ops):
            first, at = varint(body, at)
            kind, size = first & 3, first >> 2
            if kind == 3:
                start, at = bound(body, at)
                end, at = bound(body, at)
                for key in [key for key in self.records if covers(start, end, key)]:
                    del self.records[key]
                continue
            length, at = varint(body, at) if kind == 0 else (0, at)
            place, at = (body[at:at + 24], at + 24) if kind == 1 else (b"", at)
            key, at = body[at:at + size], at + size
            value, at = body[at:at + length], at + length
            self.records.pop(key, None)
            if kind < 2:
                self.records[key] = ("large", place) if kind else ("inline", value)
        need(at == len(body), "a body does not end with its operations")


def digest(footer):
    state = 0x70655F636861696E
    for at in range(0, 120, 8):
        state = (state ^ u64(footer, at)) * 0x9E3779B97F4A7C15 & MASK
        state = (state << 29 | state >> 35) & MASK
    return state ^ state >> 32


if __name__ == "__main__":
    home = Home(sys.argv[-1])
    lines = []
    for key, value in home.load():
        told = value.hex() if "--values" in sys.argv else (
            f"{len(value)} {crc32c(value):08x} {hashlib.sha256(value).hexdigest()}")
        lines.append(f"{key.hex()} {told}")
    print(f"beat {home.beat}", *lines, sep="\n")
