#pragma once

#include <cstdint>
#include <string>

#include "infer/layers/ops.hpp"
#include "infer/loader.hpp"
#include "infer/reverse/reverse.hpp"
#include "infer/step.hpp"

namespace snug::infer {

/// down( activation(gate x) * (up x) )
struct GatedFfn {
  Activation activation = Activation::silu;
  Linear gate, up, down;  // without a gate, up holds both: gate rows first

  GatedFfn() = default;
  /// `suffix`: "" or "_shexp".
  GatedFfn(Loader& loader, int64_t layer, int64_t embedding, int64_t width, Activation activation,
           const std::string& suffix = {});

  explicit operator bool() const { return static_cast<bool>(down); }
  Activations operator()(const Batch& step, const Activations& x) const;
  /// By x, from g [draws * tokens, embedding] by the result.
  Activations reverse(const Reverse& reverse, const Activations& x, const Activations& g) const;

 private:
  struct Halves {
    Activations gate, up;
  };
  Halves project(const Batch& step, const Activations& x) const;
};

}  // namespace snug::infer
