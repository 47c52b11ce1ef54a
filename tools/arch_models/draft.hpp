#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "gguf/writer.hpp"

namespace snug::tools {

/// The sizes most tensors of a small model are made of.
struct Sizes {
  int64_t embedding = 48, heads = 4, kv_heads = 2, head_dim = 16, layers = 2, ffn = 80, vocab = 64;
  int64_t context = 256;
};

/// How a tensor's random values are drawn.
enum class Fill {
  matrix,      // spread 1.2 / sqrt(columns)
  embedding,   // spread 1
  norm,        // around 1
  bias,        // around 0
  factor,      // 1 to 4: divisors of rotary angles
  decay,       // -1.5 to -0.1
  first_ones,  // ones for a quarter, then 1e30: rotary pairs that stand still
};

/// A model in the making: keys, tensors, and which optional features it has. Seed 0 has every one of them;
/// other seeds draw, so that models with some and without others come about. The same seed gives the same
/// bytes anywhere.
class Draft {
 public:
  /// `stream`: which draws, of the same seed.
  Draft(std::string arch, uint64_t seed, uint64_t stream = 0);

  bool on();                                        // one optional feature
  int64_t pick(std::initializer_list<int64_t> of);  // the first at seed 0
  bool varies() const { return seed_ != 0; }

  void key(const std::string& name, MetadataValue value) { keys_.push_back({arch_ + "." + name, value}); }
  void count(const std::string& name, int64_t value) { key(name, static_cast<uint32_t>(value)); }
  void real(const std::string& name, double value) { key(name, static_cast<float>(value)); }
  void flag(const std::string& name, bool value) { key(name, value); }
  void text(const std::string& name, const std::string& value) {
    keys_.push_back({arch_ + "." + name, value});
  }
  void counts(const std::string& name, std::vector<int32_t> values);
  void flags(const std::string& name, const std::vector<bool>& values);

  /// Names are whole: "output.weight".
  void matrix(const std::string& name, int64_t cols, int64_t rows, int64_t matrices = 1,
              Fill fill = Fill::matrix);
  void vector(const std::string& name, int64_t size, Fill fill);
  void norm(const std::string& base, int64_t size) { vector(base + ".weight", size, Fill::norm); }
  /// base.weight [cols, rows], with base.bias if asked.
  void linear(const std::string& base, int64_t cols, int64_t rows, bool bias = false);
  /// From here on every linear of a block has a factor for its output, base.scale.
  void scale_outputs(bool on = true) { scaled_ = on; }
  void output_scale(const std::string& base, int64_t matrices);

  const std::string& arch() const { return arch_; }
  void write(const std::filesystem::path& path) const;

 private:
  uint64_t next();

  std::string arch_;
  uint64_t seed_, state_;
  bool scaled_ = false;
  std::vector<snug::OutputKey> keys_;
  std::vector<gguf::OutputTensor> tensors_;
  std::vector<Fill> fills_;
  std::deque<std::vector<int32_t>> arrays_;  // what keys_ point into
  std::deque<std::vector<uint8_t>> flag_arrays_;
};

}  // namespace snug::tools
