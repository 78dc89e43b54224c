#include "file_port.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "abi.h"

namespace sluice {

namespace {

std::unique_ptr<CaptureReader> OpenSupported(const std::string& path, CaptureError* error) {
  auto reader = CaptureReader::Open(path, error);
  if (reader == nullptr || LinkOfLinkType(reader->link_type())) return reader;
  const std::string name = reader->link_type_name();
  *error = {"capture-link-type", path,
            "link type " + std::to_string(reader->link_type()) + (name.empty() ? "" : " (" + name + ")") +
                " is not supported; ETHERNET (1), NULL (0), LOOP (108), RAW (12, 101), LINUX_SLL (113), IPV4 (228) and "
                "IPV6 (229) are"};
  return nullptr;
}

}  // namespace

std::optional<CaptureInfo> InspectCapture(const std::string& path, CaptureError* error) {
  const auto reader = OpenSupported(path, error);
  if (reader == nullptr) return std::nullopt;
  return CaptureInfo{reader->link_type(), reader->nanoseconds()};
}

std::unique_ptr<FilePort> FilePort::Open(const FilePortOptions& options, LaneMemory memory, CaptureError* error) {
  std::vector<Input> inputs;
  for (const std::string& file : options.inputs) {
    auto reader = OpenSupported(file, error);
    if (reader == nullptr) return nullptr;
    const uint8_t link = LinkOfLinkType(reader->link_type()).value_or(abi::kLinkEthernet);
    inputs.push_back({file, std::move(reader), link});
  }
  std::shared_ptr<CaptureWriter> writer = options.shared_output;
  if (writer == nullptr && !options.output.empty()) {
    writer = CaptureWriter::Open(options.output, options.output_link_type, options.output_nanoseconds, error);
    if (writer == nullptr) return nullptr;
  }
  return std::unique_ptr<FilePort>(new FilePort(memory, std::move(inputs), std::move(writer)));
}

FilePort::FilePort(LaneMemory memory, std::vector<Input> inputs, std::shared_ptr<CaptureWriter> writer)
    : memory_(memory), inputs_(std::move(inputs)), writer_(std::move(writer)) {
  for (const Input& input : inputs_) NoteDamage(input);
}

FilePort::~FilePort() {
  if (writer_ != nullptr && writer_.use_count() == 1) status_->write_error = writer_->Close();
}

void FilePort::NoteDamage(const Input& input) {
  if (!input.reader->damage().empty()) status_->damage.push_back({input.file, input.reader->damage()});
}

// The input whose next packet is the oldest; the first of those with the same time. Null at the end of all.
FilePort::Input* FilePort::Earliest() {
  Input* earliest = nullptr;
  for (Input& input : inputs_) {
    const auto* packet = input.reader->Peek();
    if (packet == nullptr) continue;
    if (earliest == nullptr || packet->time_ns < earliest->reader->Peek()->time_ns) earliest = &input;
  }
  return earliest;
}

uint64_t FilePort::NextTime() {
  const Input* input = Earliest();
  return input == nullptr ? std::numeric_limits<uint64_t>::max() : input->reader->Peek()->time_ns;
}

uint32_t FilePort::Receive(std::span<Frame> frames) {
  uint32_t count = 0;
  uint32_t slot;
  while (count < frames.size()) {
    Input* input = Earliest();
    if (input == nullptr || memory_.pool.Take({&slot, 1}, SlotOwner::kLane) == 0) break;
    frames[count++] = CopyToSlot(*input, slot);
    input->reader->Next();
    NoteDamage(*input);
  }
  return count;
}

Frame FilePort::CopyToSlot(const Input& input, uint32_t slot) {
  const CaptureReader::Packet& packet = *input.reader->Peek();
  const uint32_t capacity = memory_.pool.slot_bytes() - kHeadroomBytes;
  const uint32_t length = std::min<uint32_t>(packet.bytes.size(), capacity);
  const bool oversize = packet.bytes.size() > capacity;
  const uint32_t offset = slot * memory_.pool.slot_bytes() + kHeadroomBytes;
  if (length != 0) std::memcpy(memory_.umem + offset, packet.bytes.data(), length);
  status_->oversize += oversize;
  counters_.receive_frames += 1;
  counters_.receive_bytes += length;
  return {.offset = offset,
          .length = length,
          .wire_length = packet.wire_length,
          .link = input.link,
          .oversize = oversize,
          .time_ns = packet.time_ns};
}

uint32_t FilePort::Transmit(std::span<const Frame> frames) {
  for (const Frame& frame : frames) {
    if (writer_ != nullptr) {
      writer_->Write({memory_.umem + frame.offset, frame.length}, frame.link, frame.wire_length, frame.time_ns);
    }
    memory_.pool.Release(frame.offset / memory_.pool.slot_bytes());
    counters_.transmit_frames += 1;
    counters_.transmit_bytes += frame.length;
  }
  return static_cast<uint32_t>(frames.size());
}

}  // namespace sluice
