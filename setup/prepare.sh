#!/bin/sh
# Installs what is missing (Debian packages, npm packages) and builds what is out of date. Takes no question; says what
# it does; does nothing the second time. Runs before there is anything to run it with but a shell and npm.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# name of a Debian package, and what it is for
packages() {
  cat <<'LIST'
clang            compiles the XDP program
cmake            builds the native addon
g++              builds the native addon
ninja-build      builds the native addon
libbpf-dev       loads the XDP program
libelf-dev       loads the XDP program
libxdp-dev       AF_XDP rings
libmnl-dev       follows routes and neighbours
libpcap-dev      reads and writes captures
ethtool          switches offloads off
iproute2         network namespaces
iputils-ping     traffic of the built-in network
iperf3           traffic of the built-in network
curl             traffic of the built-in network
nginx-light      the built-in network's web server
traceroute       routed ports in tests
tcpdump          captures in tests
tshark           reads captures in tests
procps           sysctl in network namespaces
libclang-rt-14-dev  sanitizers of the fuzz targets
clang-format     npm run format
prometheus       scrapes and checks metrics in tests
nfdump           receives flows in tests
python3-pyftpdlib  FTP server behind and before NAT in tests
tftpd-hpa        TFTP server in tests
sip-tester       SIP phone in tests
coturn           tells NAT behaviours in tests (RFC 5780)
LIST
}

missing=$(packages | while read -r name purpose; do
  dpkg-query -W -f='${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed$' || echo "$name"
done)

if [ -n "$missing" ]; then
  # shellcheck disable=SC2086 # a list of words
  set -- $missing
  if [ "$(id -u)" -eq 0 ]; then
    say "installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    # Services of freshly installed packages (nginx) are not to start here.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    log=$(mktemp)
    { apt-get update && apt-get install -y --no-install-recommends "$@"; } > "$log" 2>&1 ||
      { cat "$log" >&2; say "apt-get failed"; exit 1; }
    rm -f "$log"
  else
    say "not root: cannot install these Debian packages: $*"
    say "as root: apt-get install $*"
  fi
fi

lock=$(sha256sum package-lock.json | cut -d' ' -f1)
stamp=node_modules/.sluice-lock
if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  say "installing npm packages (npm ci --ignore-scripts)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  printf '%s\n' "$lock" > "$stamp"
fi

PATH="$PWD/node_modules/.bin:$PATH"
export PATH
exec node setup/build.ts
