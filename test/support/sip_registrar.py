"""A registrar that calls who has registered, from another port than it was registered at, and sends media.

Prints one line of JSON: what Contact and media endpoint the phone named, and how many packets of media came back.
"""

import json
import re
import socket
import sys
import time

ADDRESS = sys.argv[1]
PAUSE = float(sys.argv[2])


def receive(sock, wanted, seconds=10):
    """The next message whose first line begins with that."""
    sock.settimeout(seconds)
    while True:
        data, peer = sock.recvfrom(65535)
        text = data.decode(errors="replace")
        if text.startswith(wanted):
            return text, peer


def field(text, name):
    found = re.search(rf"^{name}:\s*(.*?)\r?$", text, re.MULTILINE | re.IGNORECASE)
    return found.group(1) if found else ""


def answer(request, more):
    copied = [f"{name}: {field(request, name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join(["SIP/2.0 200 OK", *copied, *more, "Content-Length: 0", "", ""]).encode()


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((ADDRESS, 5060))
print("listening", flush=True)
register, phone = receive(server, "REGISTER", 30)
contact = field(register, "Contact")
server.sendto(answer(register, [f"Contact: {contact};expires=600"]), phone)
time.sleep(PAUSE)

caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
caller.bind((ADDRESS, 5070))
media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
media.bind((ADDRESS, 7000))
uri = re.search(r"sip:[^>;]*", contact).group(0)
host, port = re.search(r"@([\d.]+):(\d+)", uri).groups()
offer = "\r\n".join(
    ["v=0", f"o=- 1 1 IN IP4 {ADDRESS}", "s=-", f"c=IN IP4 {ADDRESS}", "t=0 0", "m=audio 7000 RTP/AVP 0", ""]
)
invite = "\r\n".join(
    [
        f"INVITE {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {ADDRESS}:5070;branch=z9hG4bK-call",
        f"From: <sip:bob@{ADDRESS}>;tag=call",
        f"To: <{uri}>",
        "Call-ID: call",
        "CSeq: 1 INVITE",
        f"Contact: <sip:bob@{ADDRESS}:5070>",
        "Max-Forwards: 70",
        "Content-Type: application/sdp",
        f"Content-Length: {len(offer)}",
        "",
        offer,
    ]
)
caller.sendto(invite.encode(), (host, int(port)))
accepted, _ = receive(caller, "SIP/2.0 200")
address = re.search(r"^c=IN IP4 ([\d.]+)", accepted, re.MULTILINE).group(1)
audio = int(re.search(r"^m=audio (\d+)", accepted, re.MULTILINE).group(1))
ack = f"ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {ADDRESS}:5070;branch=z9hG4bK-ack\r\nFrom: <sip:bob@{ADDRESS}>;tag=call\r\nTo: {field(accepted, 'To')}\r\nCall-ID: call\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
caller.sendto(ack.encode(), (host, int(port)))
echoed = 0
for number in range(20):
    media.sendto(bytes([0x80, 0, 0, number]) + bytes(168), (address, audio))
    try:
        media.settimeout(1)
        media.recvfrom(2048)
        echoed += 1
    except socket.timeout:
        pass
print(json.dumps({"contact": contact, "media": f"{address}:{audio}", "echoed": echoed}), flush=True)
