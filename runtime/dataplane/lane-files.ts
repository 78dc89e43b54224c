// Where the lanes of a chain keep their segments in its state folder. Those of the first have no prefix.

/** The file of a lane's segment. */
export function nameInLane(segment: string, lane: number): string {
  return lane === 0 ? segment : `lane-${lane}-${segment}`;
}

/** The files of a segment that every lane has. */
export function nameInLanes(segment: string, lanes: number): string[] {
  return Array.from({ length: lanes }, (_, lane) => nameInLane(segment, lane));
}
