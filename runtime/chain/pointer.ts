// JSON pointers (RFC 6901).

export type PointerToken = string | number;

/** Appends tokens to a pointer, escaping `~` and `/`. The root's pointer is "". */
export function extendPointer(pointer: string, ...tokens: readonly PointerToken[]): string {
  return tokens.reduce<string>(
    (path, token) => `${path}/${String(token).replaceAll("~", "~0").replaceAll("/", "~1")}`,
    pointer,
  );
}

export function splitPointer(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Whether `pointer` names the place that `ancestor` names, or one inside it. */
export function isWithin(pointer: string, ancestor: string): boolean {
  return pointer === ancestor || pointer.startsWith(`${ancestor}/`);
}
