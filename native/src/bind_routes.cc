#include "bind_routes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "bind_error.h"

namespace sluice {
namespace {

using Shared = std::shared_ptr<OpenLane>;

// By RouteKind.
constexpr const char* kKinds[] = {"forward", "local", "blackhole", "unreachable", "prohibit"};

template <size_t kBytes>
std::array<uint8_t, kBytes> ReadBytes(const Napi::Value& value, uint8_t* length = nullptr) {
  std::array<uint8_t, kBytes> bytes{};
  if (!value.IsTypedArray()) return bytes;
  const auto array = value.As<Napi::Uint8Array>();
  const size_t count = std::min(kBytes, array.ByteLength());
  std::memcpy(bytes.data(), array.Data(), count);
  if (length) *length = static_cast<uint8_t>(count);
  return bytes;
}

uint8_t VersionOf(uint8_t length) { return length == 4 ? 4 : 6; }

template <typename Read>
void ForEach(const Napi::Object& object, const char* key, Read read) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) return;
  const auto list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) read(list.Get(i).ToObject());
}

int IfindexOf(const Napi::Object& object) { return object.Get("port").ToNumber().Int32Value() + 1; }

Link ReadLink(const Napi::Object& object) {
  Link link{.ifindex = IfindexOf(object), .mac = ReadBytes<6>(object.Get("mac"))};
  link.mtu = object.Get("mtu").ToNumber().Uint32Value();
  link.is_up = true;
  const Napi::Value addresses = object.Get("addresses");
  for (uint32_t i = 0; addresses.IsArray() && i < addresses.As<Napi::Array>().Length(); ++i) {
    uint8_t length = 0;
    const AddressBytes address = ReadBytes<16>(addresses.As<Napi::Array>().Get(i), &length);
    (length == 4 ? link.addresses4 : link.addresses6).push_back(address);
  }
  return link;
}

struct Tables {
  std::vector<PrefixTree::Prefix> prefixes;
  RouteTable table;
};

void ReadRoute(const Napi::Object& object, Tables* by_version) {
  uint8_t length = 0;
  PrefixTree::Prefix prefix{.address = ReadBytes<16>(object.Get("address"), &length)};
  prefix.length = static_cast<uint8_t>(object.Get("prefixLength").ToNumber().Uint32Value());
  Tables& tables = by_version[length == 16];
  prefix.value = static_cast<uint32_t>(tables.table.routes.size());
  Route route{.mtu = object.Get("mtu").IsNumber() ? object.Get("mtu").ToNumber().Uint32Value() : 0};
  const std::string kind = object.Get("kind").ToString();
  const auto found = std::ranges::find(kKinds, kind);
  route.kind = static_cast<RouteKind>(found == std::end(kKinds) ? 0 : found - std::begin(kKinds));
  if (route.kind == RouteKind::kForward) {
    NextHop next_hop{.ifindex = IfindexOf(object)};
    next_hop.has_gateway = object.Get("gateway").IsTypedArray();
    uint8_t gateway_length = 0;
    next_hop.gateway = ReadBytes<16>(object.Get("gateway"), &gateway_length);
    next_hop.gateway_version = VersionOf(gateway_length);
    route.next_hops.push_back(next_hop);
  }
  tables.table.routes.push_back(std::move(route));
  tables.prefixes.push_back(prefix);
}

Forwarding ReadForwarding(const Napi::Object& options) {
  Forwarding forwarding;
  ForEach(options, "links", [&](const Napi::Object& object) { forwarding.links.push_back(ReadLink(object)); });
  Tables tables[2];
  ForEach(options, "routes", [&](const Napi::Object& object) { ReadRoute(object, tables); });
  for (Tables& each : tables) each.table.tree = PrefixTree(std::move(each.prefixes));
  forwarding.routes4 = std::make_shared<RouteTable>(std::move(tables[0].table));
  forwarding.routes6 = std::make_shared<RouteTable>(std::move(tables[1].table));
  std::vector<Neighbour> neighbours;
  ForEach(options, "neighbours", [&](const Napi::Object& object) {
    uint8_t length = 0;
    Neighbour neighbour{.ifindex = IfindexOf(object), .address = ReadBytes<16>(object.Get("address"), &length)};
    neighbour.version = VersionOf(length);
    neighbour.mac = ReadBytes<6>(object.Get("mac"));
    neighbours.push_back(neighbour);
  });
  forwarding.neighbours = std::make_shared<NeighbourTable>(neighbours);
  return forwarding;
}

Napi::Value FollowRoutes(const Napi::CallbackInfo& info, Lane& lane) {
  SystemError error;
  const auto& handover = lane.config().handover;
  auto mirror = handover ? handover->FollowRoutes(&error) : RouteMirror::Follow(&error);
  if (mirror) {
    lane.Follow(std::move(mirror));
  } else {
    ThrowSystemError(info.Env(), error);
  }
  return info.Env().Undefined();
}

Napi::Value FixRoutes(const Napi::CallbackInfo& info, Lane& lane) {
  lane.Follow(RouteMirror::Fixed(ReadForwarding(info[0].ToObject())));
  return info.Env().Undefined();
}

Napi::Value OpenInlet(const Napi::CallbackInfo& info, Lane& lane) {
  SystemError error;
  auto inlet = KernelInlet::Open(info[0].ToString(), &error);
  if (inlet) {
    lane.SetInlet(std::move(inlet));
  } else {
    ThrowSystemError(info.Env(), error);
  }
  return info.Env().Undefined();
}

}  // namespace

void BindRoutes(Napi::Env env, Napi::Object object, const Shared& open) {
  const auto set = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&, Lane&)) {
    object.Set(name, Napi::Function::New(
                         env,
                         [open, function](const Napi::CallbackInfo& info) {
                           Lane* lane = LaneOf(info.Env(), *open);
                           return lane ? function(info, *lane) : info.Env().Undefined();
                         },
                         name));
  };
  set("followRoutes", FollowRoutes);
  set("fixRoutes", FixRoutes);
  set("openInlet", OpenInlet);
}

}  // namespace sluice
