// Sets of rules as rows: see tables.ts.
import { Arena, Interner } from "./intern";
import { BLOCK_BYTES, BLOCK_WORDS, WORD_RULES } from "./tables";

export class RowStore {
  readonly wordCount: u32;
  readonly summaryBytes: u32;
  readonly rowBytes: u32;
  /** Blocks of one set. */
  readonly blockCount: u32;
  private rows: Interner;
  private blocks: Interner;
  private words: usize;
  private scratch: usize;

  constructor(arena: Arena, ruleCount: u32) {
    const words = max<u32>((ruleCount + WORD_RULES - 1) / WORD_RULES, 1);
    const blocks = (words + BLOCK_WORDS - 1) / BLOCK_WORDS;
    const summaryBytes = ((words + 63) >> 6) << 3;
    const rowBytes = (summaryBytes + blocks * 4 + 7) & ~7;
    this.wordCount = words;
    this.blockCount = blocks;
    this.summaryBytes = summaryBytes;
    this.rowBytes = rowBytes;
    this.rows = new Interner(arena, rowBytes);
    this.blocks = new Interner(arena, BLOCK_BYTES);
    this.words = arena.allocate(blocks * BLOCK_BYTES);
    this.scratch = arena.allocate(rowBytes);
  }

  get rowCount(): u32 {
    return this.rows.count;
  }

  get distinctBlocks(): u32 {
    return this.blocks.count;
  }

  clear(): void {
    memory.fill(this.words, 0, this.blockCount * BLOCK_BYTES);
  }

  include(position: u32): void {
    const word = this.words + ((position >> 6) << 3);
    store<u64>(word, load<u64>(word) | ((<u64>1) << (position & 63)));
  }

  exclude(position: u32): void {
    const word = this.words + ((position >> 6) << 3);
    store<u64>(word, load<u64>(word) & ~((<u64>1) << (position & 63)));
  }

  /** The row that holds the set as it is now. */
  row(): usize {
    memory.fill(this.scratch, 0, this.rowBytes);
    for (let block: u32 = 0; block < this.blockCount; block++) {
      const words = this.words + block * BLOCK_BYTES;
      store<u32>(this.scratch + this.summaryBytes + block * 4, <u32>this.blocks.intern(words));
      let present: u32 = 0;
      for (let i = 0; i < BLOCK_WORDS; i++) present |= u32(load<u64>(words + i * 8) != 0) << i;
      store<u8>(this.scratch + block, <u8>present);
    }
    return this.rows.intern(this.scratch);
  }
}
