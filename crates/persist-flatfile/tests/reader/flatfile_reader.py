#!/usr/bin/env python3
"""Reads a flatfile store by docs/format-flatfile.md alone: flatfile_reader.py HOME

Prints "beat <number>", then key and value of every record of the newest beat in order of keys, in hexadecimal. The store must
not be open. What is needed and does not verify ends it with a sentence and exit code 1, except a torn tail. Not looked at:
filters, fences, older versions, files kept for the feed, headers of payload segments.
"""
import functools, io, os, re, struct, sys

TABLE = [functools.reduce(lambda crc, _: crc >> 1 ^ 0x82F63B78 * (crc & 1), range(8), byte) for byte in range(256)]

def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF

def digest(data, state):
    for (word,) in struct.iter_unpack("<Q", data):
        state = (state ^ word) * 0x9E3779B97F4A7C15 % (1 << 64)
        state = state << 29 & (1 << 64) - 1 | state >> 35
    return state

def need(fits, what):
    if not fits:
        sys.exit(f"{sys.argv[1]}: {what}")

def beat_of(header):
    words = struct.unpack("<9Q", header)
    need(digest(header[:64], 0x7065727369737421) == words[8], "a beat header does not verify")
    return words[1]

class Bytes(io.BytesIO):
    def varint(self):
        (byte,) = self.read(1)
        return byte if byte < 128 else byte - 128 + (self.varint() << 7)

    def bound(self, upper):
        """Something to compare (1, key, False) with: the lower one is at most that, the upper one above it."""
        kind = self.varint()
        return (1, self.read(self.varint()), (kind == 1) == upper) if kind else (2 * upper,)

class Run:
    def __init__(self, number, data):
        self.data, self.number, self.name = data, number, f"branch.ckp.{number:08}"
        foot = self.block(len(data) - 272, 8)[0]
        *told, self.after, self.upto, _, _, self.floor, length, self.records = struct.unpack_from("<2I7Q", foot)
        need(told == [1, number] and length == len(data), f"{self.name}: format, number or length")
        self.top, _, self.ranges_at, self.ranges, _, headers = struct.unpack_from("<6Q", foot, 128)
        self.beat = beat_of(foot[176:]) if headers else 0

    def block(self, at, kind):
        *begin, size, _, count, crc = struct.unpack_from("<2s2BIQII", self.data, at)
        end = at + 24 + size
        covered = struct.pack("<IQ", self.number, at) + self.data[at:at + 20] + self.data[at + 24:end]
        need(begin == [b"PR", kind, 0] and crc32c(covered) == crc, f"{self.name}: at {at}: does not verify")
        return self.data[at + 24:end], count, end

    def children(self, at, kind, layout):
        payload, count, _ = self.block(at, kind)
        values = 16 + 8 * count
        return struct.iter_unpack(layout, payload[values:values + struct.calcsize(layout) * count])

    def apply(self):
        ranges, at, last = [], self.ranges_at, None
        while len(ranges) < self.ranges:
            payload, count, end = self.block(at, 5)
            entries, at = Bytes(payload), end + 7 & ~7
            for _ in range(count):
                need(entries.varint() == 0, f"{self.name}: something is lost")
                ranges.append((entries.varint(), entries.bound(False), entries.bound(True)))
                delete_range(*ranges[-1][1:])
        for index, _, _ in self.children(self.top, 7, "<QII"):
            for back, _ in self.children(index, 4, "<II"):
                payload, count, _ = self.block(index - 8 * back, 2)
                rows, self.records = Bytes(payload), self.records - count
                for _ in range(count):
                    size, kind = divmod(rows.varint(), 4)
                    length = rows.varint() if kind < 2 else 24 if kind == 2 else 0
                    beat = self.floor + (rows.varint() if kind else 0)
                    key, value = rows.read(size), rows.read(length)
                    if key != last:
                        hidden = any(beat < newer and low <= (1, key, False) < high for newer, low, high in ranges)
                        records[key] = None if kind == 3 or hidden else (kind == 2, value)
                    last = key
        need(self.records == 0, f"{self.name}: not all records are there")

def delete_range(low, high):
    records.update((key, None) for key in records if low <= (1, key, False) < high)

def read_frame(number, data, at):
    place = crc32c(struct.pack("<QIQ", store, number, at))
    magic, crc, frame, beat, size = struct.unpack_from("<4sI3Q", data[at:at + 32].ljust(32))
    if magic == b"PBT1" and crc == crc32c(data[at + 8:at + 32], place):
        body, footer = data[at + 32:at + 32 + size], data[at + 32 + size:at + 152 + size]
        if footer[112:] == struct.pack("<I4s", crc32c(data[at:at + 32] + body + footer[:112], place), b"PBTE"):
            need(beat_of(footer[40:112]) == beat, f"frame {frame}: footer")
            return frame, beat, Bytes(body), footer, at + 159 + size & ~7

def apply_frame(body, operations):
    for _ in range(operations):
        size, kind = divmod(body.varint(), 4)
        if kind == 3:
            delete_range(body.bound(False), body.bound(True))
        else:
            where = body.varint() if kind == 0 else body.read(24) if kind == 1 else b""
            key = body.read(size)
            records[key] = (False, body.read(where)) if kind == 0 else (True, where) if kind == 1 else None

def files(stem):
    names = sorted(name for name in os.listdir(sys.argv[1]) if re.fullmatch(stem + r"(\.\d{8,10})?", name))
    return {int(name[11:] or 0): open(os.path.join(sys.argv[1], name), "rb").read() for name in names}

slots = [files("branch.meta").get(0, b"")[at:at + 4096].ljust(4096) for at in (0, 4096)]
heads = [struct.unpack_from("<4s4s2Q2IQ", slot) for slot in slots if slot[4:8] == struct.pack("<I", crc32c(slot[8:]))]
_, _, _, store, version, _, durable = max(heads, key=lambda head: head[2], default=(0, 0, 0, 0, 1, 0, 0))
need(version == 1, "branch.meta: another format")
records, beat, frame, chain, segments, ends = {}, 0, 0, None, {}, {}
for run in sorted((Run(*file) for file in files("branch.ckp").items()), key=lambda run: (run.after, -run.upto, -run.number)):
    if run.upto > frame:
        need(run.after == frame, f"{run.name}: frames {frame + 1} to {run.after} are in no run")
        run.apply()
        frame, beat = run.upto, max(run.beat, beat)
for number, data in files("branch.idx").items():
    if any(data[:64]):
        header = struct.unpack_from("<4s3I2Q2IQ", data)
        need(header[:4] == (b"PBTS", crc32c(data[8:64]), 1, number), f"branch.idx.{number:08}: header")
        store = store or header[4]
        if header[4] == store:
            segments[number], ends[header[6]] = data, header[8]
for number, data in segments.items():
    at, data = 64, data[:ends.get(number)]
    while found := read_frame(number, data, at):
        this, newest, body, footer, at = found
        operations, _, before = struct.unpack_from("<3Q", footer)
        need(this <= frame + 1 and chain in (None, before), f"frame {this}: out of order")
        if this > frame:
            apply_frame(body, operations)
            frame, beat = this, newest
        chain = digest(footer, 0x70655F636861696E)
        chain ^= chain >> 32
    need(number not in ends or at == len(data), f"branch.idx.{number:08}: at {at}: damaged")
need(frame >= durable, f"frames after {frame} are lost")
print(f"beat {beat}")
payloads = files("branch.dat")
for key, (is_large, value) in sorted(record for record in records.items() if record[1]):
    if is_large:
        segment, crc, at, size = struct.unpack("<IIQQ", value)
        value = payloads[segment][at:at + size]
        need(len(value) == size and crc32c(value) == crc, f"branch.dat.{segment:08}: at {at}: value")
    print(key.hex(), value.hex())
