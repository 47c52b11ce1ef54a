#pragma once

#include <span>
#include <vector>

#include "infer/rows.hpp"
#include "infer/weight.hpp"

namespace snug::infer {

enum class Activation {
  silu,
  gelu,  // the tanh form; argument and result rounded to f16, as llama.cpp's CPU backend has it
  oai,   // gpt-oss: clamped, x * sigmoid(1.702 x) * (up + 1)
};

/// y = x / sqrt(mean(x^2) + eps) * weight, over groups of `weight.size()` elements of each row (heads), or
/// whole rows. The sum runs in double (fast: in f32). An empty weight multiplies with nothing; `group` then
/// says the size of a group.
Activations rms_norm(const Activations& x, std::span<const float> weight, float eps,
                     Compute compute = Compute::exact);
void rms_norm_groups(Activations& x, int64_t group, std::span<const float> weight, float eps);

void add(Activations& x, const Activations& y);  // x += y
void scale(Activations& x, float by);
void add_bias(Activations& x, std::span<const float> bias);  // to every row
/// gate = activation(gate) * up
void gate_with(Activation activation, Activations& gate, const Activations& up,
               Compute compute = Compute::exact);
/// x = cap * tanh(x / cap)
void soft_cap(Activations& x, float cap);

float silu(float x);
float sigmoid(float x);
float softplus(float x);
float gelu(float x);

/// In place: softmax over the values, max-subtracted, sum in double. `sink` joins the denominator where it is
/// finite.
void softmax(std::span<float> values);
void softmax_with_sink(std::span<float> values, float sink);

}  // namespace snug::infer
