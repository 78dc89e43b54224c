/* Passes frames that the engine gives back to the kernel: see src/kernel_inlet.h. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int inlet(struct xdp_md *frame)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Apache-2.0";
