// A port on files: receives the packets of captures, writes what is transmitted to another. For replay.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture_reader.h"
#include "capture_writer.h"
#include "port.h"

namespace sluice {

struct FilePortOptions {
  std::vector<std::string> inputs;  // pcap or pcapng, merged by time; none: receives nothing
  std::string output;               // pcap; empty: only counts what is transmitted
  uint32_t output_link_type = 1;
  bool output_nanoseconds = false;
  std::shared_ptr<CaptureWriter> shared_output;  // of a port that the same thread uses; null: opens its own
};

// What is known of the files; outlives the port.
struct FilePortStatus {
  struct Damage {
    std::string file;
    std::string what;
  };
  uint64_t oversize = 0;       // frames of which a slot held only the beginning
  std::vector<Damage> damage;  // inputs that could not be read to their end, and why
  std::string write_error;     // why the output is incomplete; known when the port is closed
};

class FilePort : public Port {
 public:
  // Null, with `error` filled, if a file cannot be opened or its link type is not supported (capture-link-type).
  static std::unique_ptr<FilePort> Open(const FilePortOptions& options, LaneMemory memory, CaptureError* error);
  ~FilePort() override;

  uint32_t Receive(std::span<Frame> frames) override;
  uint32_t Transmit(std::span<const Frame> frames) override;
  void Flush() override {}
  uint64_t NextTime() override;

  std::shared_ptr<const FilePortStatus> status() const { return status_; }
  // Null if nothing is written. Complete when the last port that writes to it is closed.
  std::weak_ptr<CaptureWriter> output() const { return writer_; }

 private:
  struct Input {
    std::string file;
    std::unique_ptr<CaptureReader> reader;
    uint8_t link;
  };

  FilePort(LaneMemory memory, std::vector<Input> inputs, std::shared_ptr<CaptureWriter> writer);
  Input* Earliest();
  Frame CopyToSlot(const Input& input, uint32_t slot);
  void NoteDamage(const Input& input);

  const LaneMemory memory_;
  std::vector<Input> inputs_;
  const std::shared_ptr<CaptureWriter> writer_;
  const std::shared_ptr<FilePortStatus> status_ = std::make_shared<FilePortStatus>();
};

// What a capture's header says. None, with `error` filled, also for a link type that is not supported.
struct CaptureInfo {
  uint32_t link_type;
  bool nanoseconds;
};
std::optional<CaptureInfo> InspectCapture(const std::string& path, CaptureError* error);

}  // namespace sluice
