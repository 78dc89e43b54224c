// Payload in order: TCP's as a stream of bytes in each direction, UDP's as datagrams. For functions whose manifest says
// `"stream": true`; they export nf_stream, which the host calls before nf_process for the same batch.

import {
  CHUNK_BYTES,
  CHUNK_DATA,
  CHUNK_DIRECTION,
  CHUNK_FLAGS,
  CHUNK_FLAG_AMBIGUOUS,
  CHUNK_FLAG_DATAGRAM,
  CHUNK_FLAG_END,
  CHUNK_FLAG_GAP,
  CHUNK_FLAG_START,
  CHUNK_FLOW,
  CHUNK_GAP,
  CHUNK_INPUT,
  CHUNK_LENGTH,
  CHUNK_OFFSET,
  CHUNKS_COUNT,
  CHUNKS_ENTRIES,
} from "./abi";
import { chunksAddress } from "./context";
import { Flow } from "./flow";

@unmanaged
@final
class ChunkBatch {
  /** Chunks that the batch made available, 0 … CHUNKS_CAPACITY. */
  @inline
  get count(): i32 {
    return load<i32>(changetype<usize>(this), CHUNKS_COUNT);
  }

  /** Unchecked: `i` must be below `count`. Valid until nf_process returns. */
  @inline
  at(i: i32): Chunk {
    return changetype<Chunk>(changetype<usize>(this) + CHUNKS_ENTRIES + <usize>i * CHUNK_BYTES);
  }
}

/** A piece of one direction of a flow. Chunks of one direction come in the order of their offsets. */
@unmanaged
@final
export class Chunk {
  @inline
  get flow(): Flow {
    return changetype<Flow>(<usize>load<u32>(changetype<usize>(this), CHUNK_FLOW));
  }

  /** 0 from the flow's first sender, 1 the other way. */
  @inline
  get direction(): u32 {
    return load<u8>(changetype<usize>(this), CHUNK_DIRECTION);
  }

  /** Of the first byte in its direction, gaps counted; of a datagram, how many came before it. */
  @inline
  get offset(): u64 {
    return load<u64>(changetype<usize>(this), CHUNK_OFFSET);
  }

  /** Address of the first byte. */
  @inline
  get data(): usize {
    return load<u32>(changetype<usize>(this), CHUNK_DATA);
  }

  /** Bytes; 0 for a bare start, gap or end. */
  @inline
  get length(): u32 {
    return load<u32>(changetype<usize>(this), CHUNK_LENGTH);
  }

  /** Bytes that never came: before this chunk, or at the end of a datagram. */
  @inline
  get gap(): u32 {
    return load<u32>(changetype<usize>(this), CHUNK_GAP);
  }

  /** The packet that made it available: `batch.packet(chunk.input)`. */
  @inline
  get input(): i32 {
    return load<u16>(changetype<usize>(this), CHUNK_INPUT);
  }

  /** The first of its direction: TCP only. */
  @inline
  get isStart(): bool {
    return this.has(CHUNK_FLAG_START);
  }

  /** The last of its direction (FIN or RST): TCP only; a flow that ends otherwise is told of by its event. */
  @inline
  get isEnd(): bool {
    return this.has(CHUNK_FLAG_END);
  }

  @inline
  get hasGap(): bool {
    return this.has(CHUNK_FLAG_GAP);
  }

  /** A UDP datagram: whole, unless `hasGap`. */
  @inline
  get isDatagram(): bool {
    return this.has(CHUNK_FLAG_DATAGRAM);
  }

  /** Two segments disagreed about some of these bytes; the chain's overlap policy chose. */
  @inline
  get isAmbiguous(): bool {
    return this.has(CHUNK_FLAG_AMBIGUOUS);
  }

  @inline
  private has(flag: u32): bool {
    return (load<u8>(changetype<usize>(this), CHUNK_FLAGS) & flag) != 0;
  }
}

/** For nf_stream. Without `"stream": true` in the manifest, reading this is a fault. */
export const chunks = changetype<ChunkBatch>(chunksAddress);
