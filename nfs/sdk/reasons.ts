// Why a function drops a frame or hands it to the host. The host counts frames per reason.

import { declareReason } from "./imports";

/** Declared once per name, at the module's top level or in nf_configure: `const denied = new Reason("denied");` */
@unmanaged
@final
export class Reason {
  constructor(name: string) {
    return changetype<Reason>(<usize>declareReason(name));
  }

  @inline
  get number(): u16 {
    return <u16>changetype<usize>(this);
  }
}
