// Which AF_XDP modes a device can run, found out by opening each for a moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "afxdp_port.h"

namespace sluice {

struct ModeProbe {
  AfxdpMode mode;
  SystemError error;  // none: the mode works
};

// Best mode first. While it runs every frame passes to the kernel, since no socket is entered into the program's map;
// but attaching a program or a zero-copy socket makes some drivers reset their queues, which may cost frames.
std::vector<ModeProbe> ProbeModes(const std::string& device, uint32_t queue, const std::string& program);

}  // namespace sluice
