#pragma once

#include <cstdint>
#include <string_view>

namespace snug::infer {

/// f32 arithmetic in one fixed order, so that every instruction set and thread count gives the same bits.
///
/// A sum over k of a[k] * b[k] runs in 8 lanes: lane j takes k = j, j+8, j+16, ... in that order, each
/// product rounded before it is added (no fused multiply-add); then ((l0+l4) + (l2+l6)) + ((l1+l5) +
/// (l3+l7)).
struct ExactKernels {
  std::string_view isa;

  /// y[t * y_stride + r] = sum_k w[r * stride + k] * x[t * stride + k] for r < rows (at most kPanelRows), t <
  /// tokens, k < stride; stride is a multiple of 8, the padding zero.
  void (*panel)(const float* w, int64_t rows, const float* x, int64_t tokens, int64_t stride, float* y,
                int64_t y_stride);
  /// The same sum of one pair of vectors; n need not be a multiple of 8.
  float (*dot)(const float* a, const float* b, int64_t n);
  /// y[i] += scale * x[i]
  void (*add_scaled)(float* y, const float* x, float scale, int64_t n);
  /// y[t * y_stride + c] += sum_r g[t * g_stride + r] * w[r * w_stride + c] for t < tokens, r < depth, c < cols;
  /// products are added to y one after the other, in the order of r.
  void (*accumulate)(const float* g, int64_t tokens, int64_t g_stride, const float* w, int64_t depth,
                     int64_t cols, int64_t w_stride, float* y, int64_t y_stride);
};

inline constexpr int64_t kPanelRows = 16;

/// The fastest the processor runs. SNUG_ISA=scalar in the environment forces the portable one.
const ExactKernels& exact_kernels();

extern const ExactKernels kExactScalar;
#if defined(__x86_64__)
extern const ExactKernels kExactAvx2;
#endif

}  // namespace snug::infer
