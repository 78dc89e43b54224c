import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commandOf, StreamTable } from "../support/stream-table.ts";

let table: StreamTable;
beforeAll(() => {
  table = new StreamTable();
});
afterAll(() => table.close());

/** The connection that most cases begin with: the client's first byte is 100, the server's 500. */
const open = ["> syn seq 99", "< syn ack 100 seq 499", "> ack 500 seq 100"];
const opened = ["> 0 start", "< 0 start"];

const play = (...lines: readonly string[]) => table.play(lines);
const playLast = (...lines: readonly string[]) => table.play(lines, { overlap: "last" });

/** Chunks after the handshake. */
const established = async (lines: readonly string[], overlap: "first" | "last" = "first") =>
  (await table.play([...open, ...lines], { overlap })).slice(opened.length);

describe("a connection in order", () => {
  it("starts at its SYN, delivers both directions and ends at its FIN", async () => {
    const lines = [
      ...open,
      '> ack 500 seq 100 psh payload "GET /"',
      '< ack 105 seq 500 payload "200 OK"',
      "> fin ack 506 seq 105",
      '< fin ack 106 seq 506 payload "."',
    ];
    expect(await play(...lines)).toEqual([...opened, '> 0 "GET /"', '< 0 "200 OK"', "> 5 end", '< 6 "." end']);
  });

  it("is not copied: its chunks lie in its frames", async () => {
    const commands = [...open, '> ack 500 seq 100 payload "GET"', '> fin ack 500 seq 103 payload " /"'].map(commandOf);
    const answers = await table.run({}, commands);
    expect(answers.flatMap(({ chunks }) => chunks.map(({ inBuffer, record }) => [inBuffer, record]))).toEqual([
      [false, 0],
      [false, 1],
      [false, 3],
      [false, 4],
    ]);
    expect(answers.every(({ buffered }) => buffered === 0)).toBe(true);
  });

  it("is the same over IPv6", async () => {
    expect(await play("v6 > syn seq 99", 'v6 > ack 1 seq 100 payload "abc"')).toEqual(["> 0 start", '> 0 "abc"']);
  });

  it("begins with the first data seen if its handshake was not", async () => {
    const lines = ["> ack 500 seq 4000", '< ack 4000 seq 500 payload "abc"', '> ack 503 seq 4000 payload "x"'];
    expect(await play(...lines)).toEqual(['< 0 "abc" start', '> 0 "x" start']);
  });

  it("takes the Ethernet padding of short frames for nothing", async () => {
    expect(await established(["> ack 500 seq 100 pad 60", '> ack 500 seq 100 payload "ab" pad 60'])).toEqual([
      '> 0 "ab"',
    ]);
  });

  it("goes on over the end of the sequence numbers", async () => {
    const lines = [
      "> syn seq 4294967292",
      '> ack 1 seq 4294967293 payload "abc"',
      '> ack 1 seq 0 payload "def"',
      '> ack 1 seq 3 payload "ghi"',
    ];
    expect(await play(...lines)).toEqual(["> 0 start", '> 0 "abc"', '> 3 "def"', '> 6 "ghi"']);
  });

  it("keeps urgent bytes in line", async () => {
    expect(await established(['> ack 500 urg urgent 1 seq 100 payload "!abc"'])).toEqual(['> 0 "!abc"']);
  });

  it("keeps flows apart", async () => {
    const lines = [
      "> syn seq 99",
      "flow 2 > syn seq 7",
      '> ack 1 seq 100 payload "a"',
      'flow 2 > ack 1 seq 8 payload "b"',
    ];
    expect(await play(...lines)).toEqual(["> 0 start", "flow 2 > 0 start", '> 0 "a"', 'flow 2 > 0 "b"']);
  });
});

describe("segments out of order", () => {
  it("wait in the buffer until the hole is filled", async () => {
    const answers = await table.run(
      {},
      [...open, '> ack 500 seq 103 payload "def"', '> ack 500 seq 106 payload "ghi"', "batch"].map(commandOf),
    );
    expect(answers.at(-1)).toEqual({ chunks: [], buffered: 2048 });
    expect(
      await established([
        '> ack 500 seq 106 payload "ghi"',
        '> ack 500 seq 103 payload "def"',
        "batch",
        '> ack 500 seq 100 payload "abc"',
        '> ack 500 seq 109 payload "jkl"',
      ]),
    ).toEqual(['> 0 "abc"', '> 3 "defghi"', '> 9 "jkl"']);
  });

  it("also wait where the sequence numbers wrap", async () => {
    const lines = [
      "> syn seq 4294967290",
      '> ack 1 seq 4294967294 payload "defgh"',
      '> ack 1 seq 4294967291 payload "abc"',
    ];
    expect(await play(...lines)).toEqual(["> 0 start", '> 0 "abc"', '> 3 "de"', '> 5 "fgh"']);
  });

  it("may be as tiny as one byte, and come backwards", async () => {
    const text = "attack";
    const bytes = [...text].map((byte, index) => `> ack 500 seq ${100 + index} payload "${byte}"`);
    expect(await established(bytes.reverse())).toEqual(['> 0 "a"', '> 1 "ttack"']);
  });

  it("are trimmed of what was delivered", async () => {
    const lines = [
      '> ack 500 seq 100 payload "abcd"',
      '> ack 500 seq 98 payload "..abcdef"',
      '> ack 500 seq 104 payload "efg"',
    ];
    expect(await established(lines)).toEqual(['> 0 "abcd"', '> 4 "ef"', '> 6 "g"']);
  });

  it("are ignored if they lie before what was delivered, as keep-alives do", async () => {
    const lines = ['> ack 500 seq 100 payload "abc"', "> ack 500 seq 102 payload 00", '> ack 500 seq 103 payload "d"'];
    expect(await established(lines)).toEqual(['> 0 "abc"', '> 3 "d"']);
  });

  it("fill several holes at once", async () => {
    const lines = [
      '> ack 500 seq 102 payload "c"',
      '> ack 500 seq 104 payload "e"',
      '> ack 500 seq 100 payload "abcdefg"',
    ];
    expect(await established(lines)).toEqual(['> 0 "ab"', '> 2 "c"', '> 3 "d"', '> 4 "e"', '> 5 "fg"']);
  });
});

describe("copies that differ", () => {
  it("of delivered bytes are ignored, whatever the policy: they stand", async () => {
    const lines = ['> ack 500 seq 100 payload "good"', '> ack 500 seq 100 payload "evil+"'];
    expect(await established(lines)).toEqual(['> 0 "good"', '> 4 "+"']);
    expect(await established(lines, "last")).toEqual(['> 0 "good"', '> 4 "+"']);
  });

  it("of waiting bytes are reported, and the policy chooses", async () => {
    const lines = [
      '> ack 500 seq 101 payload "good"',
      '> ack 500 seq 101 payload "evil"',
      '> ack 500 seq 100 payload "."',
    ];
    expect(await established(lines)).toEqual(['> 0 "."', '> 1 "good" ambiguous']);
    expect(await established(lines, "last")).toEqual(['> 0 "."', '> 1 "evil" ambiguous']);
  });

  it("are reported when the last to come is the one in order", async () => {
    const lines = ['> ack 500 seq 102 payload "cd"', '> ack 500 seq 100 payload "abXd"'];
    expect(await established(lines)).toEqual(['> 0 "ab"', '> 2 "cd" ambiguous']);
    expect(await established(lines, "last")).toEqual(['> 0 "ab"', '> 2 "Xd" ambiguous']);
  });

  it("are reported for the part that overlaps at the front of an older one", async () => {
    const lines = [
      '> ack 500 seq 103 payload "DEF"',
      '> ack 500 seq 101 payload "bcde"',
      '> ack 500 seq 100 payload "a"',
    ];
    expect(await established(lines)).toEqual(['> 0 "a"', '> 1 "bcDEF" ambiguous']);
    expect(await established(lines, "last")).toEqual(['> 0 "a"', '> 1 "bcdeF" ambiguous']);
  });

  it("are reported for the part that overlaps at the back of an older one", async () => {
    const lines = [
      '> ack 500 seq 101 payload "BCD"',
      '> ack 500 seq 103 payload "def"',
      '> ack 500 seq 100 payload "a"',
    ];
    expect(await established(lines)).toEqual(['> 0 "a"', '> 1 "BCDef" ambiguous']);
    expect(await established(lines, "last")).toEqual(['> 0 "a"', '> 1 "BCdef" ambiguous']);
  });

  it("are reported though the last copy is like the first again", async () => {
    const copies = ["good", "evil", "good"].map((text) => `> ack 500 seq 101 payload "${text}"`);
    expect(await established([...copies, '> ack 500 seq 100 payload "."'])).toEqual([
      '> 0 "."',
      '> 1 "good" ambiguous',
    ]);
  });

  it("mark no other chunk than theirs", async () => {
    const lines = [
      '> ack 500 seq 104 payload "aa"',
      '> ack 500 seq 104 payload "bb"',
      '> ack 500 seq 101 payload "x"',
      '> ack 500 seq 100 payload "...."',
      '> ack 500 seq 106 payload "..."',
    ];
    expect(await established(lines)).toEqual([
      '> 0 "."',
      '> 1 "x" ambiguous',
      '> 2 ".."',
      '> 4 "aa" ambiguous',
      '> 6 "..."',
    ]);
  });

  it("are no ambiguity if the bytes are the same", async () => {
    const lines = [
      '> ack 500 seq 101 payload "bcd"',
      '> ack 500 seq 102 payload "cde"',
      '> ack 500 seq 100 payload "abcdef"',
    ];
    expect(await established(lines)).toEqual(['> 0 "a"', '> 1 "bcde"', '> 5 "f"']);
  });
});

describe("holes", () => {
  it("are gaps once they are older than the time to hold", async () => {
    const lines = ['@1000 > ack 500 seq 103 payload "def"', "@2999 > ack 500 seq 106", "@3000 > ack 500 seq 106"];
    expect(await established(lines.slice(0, 2))).toEqual([]);
    expect(await established(lines)).toEqual(['> 3 gap 3 "def"']);
  });

  it("are given up by frames of the other direction too", async () => {
    const lines = ['> ack 500 seq 103 payload "def"', '@2500 < ack 100 seq 500 payload "x"'];
    expect(await established(lines)).toEqual(['< 0 "x"', '> 3 gap 3 "def"']);
  });

  it("may still be filled by the frame that comes when their time is over", async () => {
    const lines = ['> ack 500 seq 103 payload "def"', '@9000 > ack 500 seq 101 payload "bc"'];
    expect(await established(lines)).toEqual(['> 1 gap 1 "bcdef"']);
  });

  it("are each as old as the first data behind them", async () => {
    const lines = [
      '> ack 500 seq 101 payload "b"',
      '@1500 > ack 500 seq 105 payload "f"',
      '@1600 > ack 500 seq 103 payload "d"',
      "@2000 > ack 500 seq 106",
    ];
    expect(await established(lines)).toEqual(['> 1 gap 1 "b"']);
    expect(await established([...lines, "@3500 > ack 500 seq 106"])).toEqual([
      '> 1 gap 1 "b"',
      '> 3 gap 1 "d"',
      '> 5 gap 1 "f"',
    ]);
  });

  it("stay given up when their bytes come after all", async () => {
    const lines = [
      '> ack 500 seq 103 payload "def"',
      "@2000 > ack 500 seq 106",
      '@2001 > ack 500 seq 100 payload "abcdefg"',
    ];
    expect(await established(lines)).toEqual(['> 3 gap 3 "def"', '> 6 "g"']);
  });

  it("are gaps when the flow ends, and a stream ends once", async () => {
    const lines = ['> ack 500 seq 103 payload "d"', '> ack 500 seq 105 payload "f"', "< fin ack 100 seq 500", "end"];
    expect(await established(lines)).toEqual(["< 0 end", '> 3 gap 3 "d"', '> 5 gap 1 "f" end']);
  });

  it("before a FIN are a gap at the end", async () => {
    const lines = ["> fin ack 500 seq 107", "@1999 > ack 500 seq 108", "@2000 > ack 500 seq 108"];
    expect(await established(lines)).toEqual(["> 7 gap 7 end"]);
    expect(await established([...lines.slice(0, 1), '> ack 500 seq 100 payload "1234567"'])).toEqual([
      '> 0 "1234567" end',
    ]);
    expect(await established([...lines.slice(0, 1), "end"])).toEqual(["> 7 gap 7 end", "< 0 end"]);
  });

  it("where the capture cut frames are gaps at once", async () => {
    const lines = [
      'cut 57 > ack 500 seq 100 payload "abcde"',
      'cut 57 > ack 500 seq 105 payload "fghij"',
      '> ack 500 seq 110 payload "k"',
    ];
    expect(await established(lines)).toEqual(['> 0 "abc"', '> 5 gap 2 "fgh"', '> 10 gap 2 "k"']);
  });

  it("where the capture cut frames that waited are gaps as soon as they waited enough", async () => {
    const lines = [
      '> ack 500 seq 110 payload "k"',
      'cut 57 > ack 500 seq 105 payload "fghij"',
      '> ack 500 seq 100 payload "abcde"',
    ];
    expect(await established(lines)).toEqual(['> 0 "abcde"', '> 5 "fgh"', '> 10 gap 2 "k"']);
  });

  it("where the capture cut off all payload and the FIN's place are gaps", async () => {
    const lines = ['cut 54 > ack 500 seq 100 payload "abcde"', 'cut 54 > fin ack 500 seq 105 payload "fghij"'];
    expect(await established([...lines, "@2000 > ack 500 seq 111"])).toEqual(["> 10 gap 10 end"]);
  });

  it("where the capture cut frames that waited are gaps also if other bytes joined them", async () => {
    const lines = [
      'cut 57 > ack 500 seq 105 payload "fghij"',
      '> ack 500 seq 101 payload "bc"',
      '> ack 500 seq 103 payload "de"',
      '> ack 500 seq 110 payload "k"',
      '> ack 500 seq 100 payload "a"',
    ];
    expect(await established(lines)).toEqual(['> 0 "a"', '> 1 "bcdefgh"', '> 10 gap 2 "k"']);
  });

  it("where the capture cut frames excuse no others", async () => {
    const lines = [
      'cut 57 > ack 500 seq 100 payload "abcde"',
      '> ack 500 seq 105 payload "f"',
      '> ack 500 seq 107 payload "h"',
    ];
    expect(await established(lines)).toEqual(['> 0 "abc"', '> 5 gap 2 "f"']);
  });

  it("where the capture cut frames may be filled by a retransmission", async () => {
    const lines = ['cut 57 > ack 500 seq 100 payload "abcde"', '> ack 500 seq 100 payload "abcde"'];
    expect(await established(lines)).toEqual(['> 0 "abc"', '> 3 "de"']);
  });

  it("behind a first fragment are gaps as soon as there is more", async () => {
    const lines = ['> ack 500 seq 100 frag more payload "abcdefghijkl"', '> ack 500 seq 120 payload "u"'];
    expect(await established(lines)).toEqual(['> 0 "abcdefghijkl"', '> 20 gap 8 "u"']);
  });
});

describe("SYN, FIN and RST", () => {
  it("with data in the SYN count it from the stream's first byte", async () => {
    const lines = ['> syn seq 99 payload "GET"', "< syn ack 103 seq 499", '> ack 500 seq 103 payload " /"'];
    expect(await play(...lines)).toEqual(['> 0 "GET" start', "< 0 start", '> 3 " /"']);
  });

  it("with data in a SYN that is not accepted deliver it once", async () => {
    const lines = ['> syn seq 99 payload "GET"', "< syn ack 100 seq 499", '> ack 500 seq 100 payload "GET /"'];
    expect(await play(...lines)).toEqual(['> 0 "GET" start', "< 0 start", '> 3 " /"']);
  });

  it("deliver the data of a FIN first", async () => {
    expect(await established(['> fin ack 500 seq 100 payload "bye"', '> ack 500 seq 103 payload "more"'])).toEqual([
      '> 0 "bye" end',
    ]);
  });

  it("ignore data behind the FIN, also what came before it", async () => {
    const lines = [
      '> ack 500 seq 102 payload "cdefgh"',
      "> fin ack 500 seq 104",
      '> ack 500 seq 104 payload "efg"',
      '> ack 500 seq 100 payload "ab"',
    ];
    expect(await established(lines)).toEqual(['> 0 "ab"', '> 2 "cd" end']);
  });

  it("keep the first FIN", async () => {
    const lines = ["> fin ack 500 seq 104", "> fin ack 500 seq 102", '> ack 500 seq 100 payload "abcdef"'];
    expect(await established(lines)).toEqual(['> 0 "abcd" end']);
  });

  it("end the stream at a FIN that came before its data", async () => {
    const lines = ["> fin ack 500 seq 103", '> ack 500 seq 100 payload "abc"'];
    expect(await established(lines)).toEqual(['> 0 "abc" end']);
  });

  it("end both directions at a RST, with what waited", async () => {
    const lines = ['> ack 500 seq 102 payload "c"', "> rst seq 100", '< ack 103 seq 500 payload "late"'];
    expect(await established(lines)).toEqual(['> 2 gap 2 "c" end', "< 0 end"]);
  });

  it("end a connection that was refused", async () => {
    expect(await play("> syn seq 99", "< rst ack 100 seq 0")).toEqual(["> 0 start", "> 0 end"]);
  });

  it.each([
    ["before what was delivered", "> rst seq 99"],
    ["far ahead", "> rst seq 2000000"],
    ["half the numbers away", "> rst seq 2147483748"],
    ["for another connection attempt", "< rst ack 77777777 seq 0"],
  ])("do not end at a RST with a sequence number %s", async (_, rst) => {
    const lines = ["> syn seq 99", rst, '> ack 500 seq 100 payload "abc"'];
    expect(await play(...lines)).toEqual(["> 0 start", '> 0 "abc"']);
  });

  it("follow another attempt to connect, with another number", async () => {
    const lines = ["> syn seq 99", "> syn seq 7000", "< syn ack 7001 seq 499", '> ack 500 seq 7001 payload "abc"'];
    expect(await play(...lines)).toEqual([...opened, '> 0 "abc"']);
  });

  it("believe the server which of two attempts counts", async () => {
    const lines = ["> syn seq 99", "> syn seq 7000", "< syn ack 100 seq 499", '> ack 500 seq 100 payload "abc"'];
    expect(await play(...lines)).toEqual([...opened, '> 0 "abc"']);
  });

  it("ignore a SYN once the connection is acknowledged", async () => {
    expect(await established(["> syn seq 7000", '> ack 500 seq 100 payload "abc"'])).toEqual(['> 0 "abc"']);
  });
});

describe("sequence numbers out of reach", () => {
  it("are ignored", async () => {
    const lines = [
      '> ack 500 seq 1100000 payload "evil"',
      '> ack 500 seq 2147483900 payload "evil"',
      "> fin ack 500 seq 1100000",
      '> ack 500 seq 100 payload "good"',
    ];
    expect(await established(lines)).toEqual(['> 0 "good"']);
  });

  it("count when the receiver has acknowledged bytes near them: the rest was lost on the way here", async () => {
    const lines = [
      "< ack 3000100 seq 500",
      '> ack 500 seq 3000100 payload "on"',
      '> ack 500 seq 3000102 payload "ward"',
    ];
    expect(await established(lines)).toEqual(['> 3000000 gap 3000000 "on"', '> 3000002 "ward"']);
  });

  it("count when there are no others for as long as a hole is held", async () => {
    const lines = ['> ack 500 seq 3000100 payload "on"', '@2000 > ack 500 seq 3000102 payload "ward"'];
    expect(await established(lines)).toEqual(['> 3000002 gap 3000002 "ward"']);
  });

  it("of a FIN alone count like those of a FIN behind a hole", async () => {
    const lines = ["< ack 3000100 seq 500", "> fin ack 500 seq 3000100", "@2000 < ack 3000101 seq 500"];
    expect(await established(lines.slice(0, 2))).toEqual([]);
    expect(await established(lines)).toEqual(["> 3000000 gap 3000000 end"]);
  });

  it("do not count while the stream goes on where it should", async () => {
    const stray = '> ack 500 seq 3000100 payload "evil"';
    const inOrder = ['@1900 > ack 500 seq 100 payload "abc"'];
    const backwards = ['@1900 > ack 500 seq 101 payload "bc"', '@1900 > ack 500 seq 100 payload "a"'];
    expect(await established([stray, ...inOrder, `@2100 ${stray}`])).toEqual(['> 0 "abc"']);
    expect(await established([stray, ...backwards, `@2100 ${stray}`])).toEqual(['> 0 "a"', '> 1 "bc"']);
  });
});

describe("what is decided elsewhere", () => {
  // The engine decides which frames are pushed; the stream table believes that an end host would take what it gets.
  it.each([
    ["a bad checksum", "bad-checksum"],
    ["a low TTL", "ttl 1"],
    ["an old timestamp", "tcp-options 0101080a0000000100000001"],
  ])("is whether a segment with %s counts: here it does", async (_, words) => {
    const lines = [`> ack 500 seq 100 ${words} payload "evil"`, '> ack 500 seq 100 payload "good"'];
    expect(await established(lines)).toEqual(['> 0 "evil"']);
  });
});

describe("datagrams", () => {
  it("are one chunk each, numbered by direction, empty ones too", async () => {
    const lines = ['udp > payload "a"', 'udp < payload "b"', "udp > ", 'udp > payload "c"', "end"];
    expect(await play(...lines)).toEqual(['> 0 "a" datagram', '< 0 "b" datagram', "> 1 datagram", '> 2 "c" datagram']);
  });

  it("say how much of them is missing", async () => {
    const lines = ['cut 44 udp > payload "abcdef"', 'udp > frag more udp-length 108 checksum 1 payload "abcdefgh"'];
    expect(await play(...lines)).toEqual(['> 0 gap 4 "ab" datagram', '> 1 gap 92 "abcdefgh" datagram']);
  });

  it("for which there is no room are missing in the numbers", async () => {
    expect(await play('room 0 udp > payload "a"', 'udp > payload "b"')).toEqual(['> 1 "b" datagram']);
  });
});

describe("without room for chunks", () => {
  it("nothing is lost: it comes with the flow's next frame", async () => {
    const lines = [
      "room 0 > syn seq 99",
      'room 0 > ack 1 seq 100 payload "abc"',
      'room 0 > ack 1 seq 103 payload "def"',
      "batch",
      "room 0 > fin ack 1 seq 106",
      "< ack 107 seq 1",
    ];
    expect(await play(...lines)).toEqual(['> 0 "abcdef" start end']);
  });

  it("it comes as far as there is room", async () => {
    const lines = [
      '> ack 500 seq 101 payload "b"',
      '> ack 500 seq 103 payload "d"',
      'room 1 > ack 500 seq 100 payload "abcde"',
      "room 2 > ack 500 seq 105",
      "room 9 > ack 500 seq 105",
    ];
    expect(await established(lines)).toEqual(['> 0 "a"', '> 1 "bcde"']);
  });

  it("it comes before the flow's next frame, which is not copied for that", async () => {
    const lines = ['room 0 > ack 500 seq 100 payload "abc"', '> ack 500 seq 103 payload "def"'];
    const answers = await table.run({}, [...open, ...lines].map(commandOf));
    expect(answers.at(-1)?.chunks.map(({ offset, inBuffer }) => [offset, inBuffer])).toEqual([
      [0, true],
      [3, false],
    ]);
  });

  it("it comes when the flow ends", async () => {
    expect(await established(['room 0 > ack 500 seq 100 payload "abc"', "end"])).toEqual(['> 0 "abc" end', "< 0 end"]);
  });

  it("a RST ends the streams later", async () => {
    expect(await established(["room 0 > rst seq 100", "room 1 > rst seq 100", "> rst seq 100"])).toEqual([
      "> 0 end",
      "< 0 end",
    ]);
  });
});

describe("limits", () => {
  const zeros = (sequence: number, count: number, prefix = "") => `${prefix}> ack 500 seq ${sequence} zeros ${count}`;
  const lengths = async (lines: readonly string[], options: object) => {
    const answers = await table.run(options, [...open, ...lines].map(commandOf));
    const chunks = answers.flatMap((answer) => answer.chunks).slice(opened.length);
    return chunks.map(({ offset, gap, data }) => [offset, gap, data.length / 2]);
  };

  it("per flow: the first hole is given up when there is no more room to wait", async () => {
    const lines = [zeros(101, 1000), zeros(1101, 1000), zeros(5001, 1000), zeros(2101, 1000)];
    // The numbers from 101 lie in the blocks that begin at 0 and 2048, those from 5001 in that at 4096.
    expect(await lengths(lines.slice(0, 3), { perFlowBytes: 3 * 2048 })).toEqual([]);
    expect(await lengths(lines.slice(0, 3), { perFlowBytes: 2 * 2048 })).toEqual([
      [1, 1, 1947],
      [1948, 0, 53],
    ]);
    expect(await lengths(lines, { perFlowBytes: 2 * 2048 })).toEqual([
      [1, 1, 1947],
      [1948, 0, 53],
      [2001, 0, 1000],
    ]);
  });

  it("per flow: room is used again once the bytes in it were delivered", async () => {
    const rounds = Array.from({ length: 5 }, (_, round) => [zeros(101 + round * 10, 9), zeros(100 + round * 10, 1)]);
    const chunks = await lengths(rounds.flat(), { perFlowBytes: 2048 });
    expect(chunks).toHaveLength(10);
    expect(chunks.every(([, gap]) => gap === 0)).toBe(true);
  });

  it("of nothing at all: every hole is a gap at once", async () => {
    const none = [{ perFlowBytes: 0 }, { bufferBytes: 0 }];
    for (const options of none) {
      expect(await lengths([zeros(101, 10), zeros(111, 10), zeros(100, 1)], options)).toEqual([
        [1, 1, 10],
        [11, 0, 10],
      ]);
    }
  });

  it("in all: flows that come later have no room, and say so", async () => {
    const lines = [zeros(101, 100), zeros(99, 100, "flow 2 "), zeros(300, 100, "flow 2 ")];
    expect(await lengths(lines, { bufferBytes: 2 * 2048 })).toEqual([[0, 0, 100]]);
    const crowded = [...lines, zeros(500, 100, "flow 2 "), zeros(5000, 100, "flow 2 ")];
    expect(await lengths(crowded, { bufferBytes: 2 * 2048 })).toEqual([
      [0, 0, 100],
      [201, 101, 100],
      [401, 100, 100],
      [4901, 4400, 100],
    ]);
  });

  it("in all: a flow that fell silent gives its room to others, and its bytes are a gap when it goes on", async () => {
    const lines = [
      zeros(101, 100),
      zeros(100, 1, "@5000 flow 2 "),
      zeros(102, 100, "@5000 flow 2 "),
      '@6000 > ack 500 seq 201 payload "on"',
    ];
    const answers = await table.run({ bufferBytes: 2048 }, [...open, ...lines, "end 2", "batch"].map(commandOf));
    const chunks = answers.flatMap((answer) => answer.chunks).slice(opened.length);
    expect(chunks.map(({ flow, offset, gap, data }) => [flow, offset, gap, data.length / 2])).toEqual([
      [2, 0, 0, 1],
      [1, 101, 101, 2],
      [2, 2, 1, 100],
    ]);
    expect(answers.at(-1)?.buffered).toBe(0);
  });

  it("in all: what a silent flow lost is not waited for when it goes on", async () => {
    const other = [zeros(100, 1, "@5000 flow 2 "), zeros(102, 100, "@5000 flow 2 "), "end 2", "batch"];
    const lines = [zeros(101, 100), ...other, '@5001 > ack 500 seq 201 payload "on"'];
    const answers = await table.run({ bufferBytes: 2048 }, [...open, ...lines].map(commandOf));
    expect(answers.at(-1)?.chunks.map(({ offset, gap }) => [offset, gap])).toEqual([[101, 101]]);
  });

  it("in all: a flow that is not silent keeps its room", async () => {
    const lines = [zeros(101, 100), zeros(100, 1, "@1000 flow 2 "), zeros(102, 100, "@1000 flow 2 "), zeros(100, 1)];
    const chunks = await lengths(lines, { bufferBytes: 2048 });
    expect(chunks).toEqual([
      [0, 0, 1],
      [2, 1, 100],
      [0, 0, 1],
      [1, 0, 100],
    ]);
  });

  it("in all: who waits since longest, but for younger holes, has precedence over who fell silent", async () => {
    const lines = [
      zeros(101, 100),
      zeros(101, 100, "flow 2 "),
      zeros(300, 100, "@100 "),
      zeros(100, 1, "@100 "),
      zeros(5000, 100, "@2050 "),
    ];
    const options = { bufferBytes: 3 * 2048 };
    const begun = ["flow 2 > syn seq 99", ...lines];
    const answers = await table.run(options, [...open, ...begun, "end 2"].map(commandOf));
    const chunks = answers.flatMap((answer) => answer.chunks).slice(opened.length);
    expect(chunks.map(({ flow, offset, gap, data }) => [flow, offset, gap, data.length / 2])).toEqual([
      [2, 0, 0, 0],
      [1, 0, 0, 1],
      [1, 1, 0, 100],
      [2, 0, 0, 0],
    ]);
  });

  it("in all: many flows wait and end in any order", async () => {
    const flows = [1, 2, 3, 4, 5];
    const wait = (order: readonly number[]) => order.map((flow) => zeros(101, 100, `flow ${flow} `));
    const begin = flows.map((flow) => `flow ${flow} > syn seq 99`);
    const ends = ["end 3", "end 1", "end 5", "batch"];
    const again = ["flow 3 > syn seq 99", zeros(101, 100, "flow 3 "), "@9000 flow 6 > syn seq 99"];
    const late = Array.from({ length: 6 }, (_, index) => zeros(101 + index * 4096, 100, "@9000 flow 6 "));
    const commands = [
      ...begin,
      ...wait(flows),
      ...ends,
      ...again,
      ...late,
      "end 2",
      "end 3",
      "end 4",
      "end 6",
      "batch",
    ];
    const answers = await table.run({ bufferBytes: 6 * 2048 }, commands.map(commandOf));
    // Flows 2, 4 and 3 were overdue, and the oldest of them gave way.
    const ended = answers.slice(-5, -1).map(({ chunks }) => chunks.reduce((sum, { data }) => sum + data.length / 2, 0));
    expect(ended).toEqual([0, 0, 0, 600]);
    expect(answers.at(-1)?.buffered).toBe(0);
  });

  it("leave nothing behind when flows end", async () => {
    const lines = [1, 2, 3].flatMap((flow) => [zeros(101, 900, `flow ${flow} `), zeros(4101, 900, `flow ${flow} `)]);
    const answers = await table.run({}, [...lines, "end 1 0", "end 2 1", "end 3", "batch"].map(commandOf));
    expect(Math.max(...answers.map(({ buffered }) => buffered))).toBeGreaterThan(0);
    expect(answers.at(-1)?.buffered).toBe(0);
  });

  it("are not met by one hole in a full window", async () => {
    const window = Array.from({ length: 80 }, (_, index) => zeros(1560 + index * 1460, 1460));
    const [first, ...rest] = await lengths([...window, zeros(100, 1460)], {});
    expect(first).toEqual([0, 0, 1460]);
    expect(rest.reduce((sum, chunk) => sum + (chunk[2] ?? 0), 0)).toBe(80 * 1460);
    expect(rest.every(([, gap]) => gap === 0)).toBe(true);
  });
});

describe("a flow's number that is used again", () => {
  it("begins a new stream", async () => {
    const lines = [...open, '> ack 500 seq 103 payload "d"', "end", "> syn seq 7", '> ack 1 seq 8 payload "new"'];
    expect(await playLast(...lines)).toEqual([...opened, '> 3 gap 3 "d" end', "< 0 end", "> 0 start", '> 0 "new"']);
  });
});
