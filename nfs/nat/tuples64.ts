// The two tuples of a session that is not of IPv4 alone, by direction.
import { leaving } from "./headers64";
import { ENTERS_IPV6, LEAVES_IPV6, Pair, pairAt, Session } from "./store";

/** The tuple that packets of that direction leave with. */
export function setLeaving(session: Session, forth: bool): void {
  leaving.sourcePort = forth ? session.newSourcePort : session.destinationPort;
  leaving.destinationPort = forth ? session.newDestinationPort : session.sourcePort;
  const isIpv6 = (session.families & (forth ? LEAVES_IPV6 : ENTERS_IPV6)) != 0;
  if (isIpv6) return setPair(pairAt(forth ? session.newSource : session.source), forth);
  leaving.source = forth ? session.newSource : session.destination;
  leaving.destination = forth ? session.newDestination : session.source;
}

function setPair(pair: Pair, forth: bool): void {
  leaving.sourceHigh = forth ? pair.sourceHigh : pair.destinationHigh;
  leaving.sourceLow = forth ? pair.sourceLow : pair.destinationLow;
  leaving.destinationHigh = forth ? pair.destinationHigh : pair.sourceHigh;
  leaving.destinationLow = forth ? pair.destinationLow : pair.sourceLow;
}
