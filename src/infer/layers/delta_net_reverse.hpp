#pragma once

#include <vector>

#include "infer/layers/delta_net.hpp"
#include "infer/reverse/reverse.hpp"

namespace snug::infer {

/// A delta net over one whole sequence that starts from nothing, and the way back. States of a head are kept for all
/// tokens while the head is on its way back: tokens * dim^2 values.
class DeltaNetWay {
 public:
  DeltaNetWay(const DeltaNet& net, Reverse& reverse, Activations a);

  const Activations& result() const { return result_; }
  /// By a, from g [draws * tokens, embedding] by the result.
  Activations back(const Activations& g) const;

 private:
  struct Gradients {
    Activations qkv, beta, decay;
  };
  int64_t tokens() const { return a_.count(); }
  int64_t dim() const { return net_.shape_.dim; }
  void convolve();
  void normalise();
  void run_head(int64_t head, Activations* seen, std::vector<float>* states) const;
  void head_back(int64_t head, const std::vector<float>& states, int64_t draw, const Activations& by_o,
                 Gradients& out) const;
  Activations convolution_back(const Activations& by_turned) const;
  void norms_back(Activations& by_qkv) const;
  Activations gates_back(const Gradients& by) const;
  Activations projection_back(const Activations& by_u, const Activations& by_z) const;

  const DeltaNet& net_;
  Reverse& reverse_;
  Activations a_;
  DeltaNet::Inputs in_;
  DeltaNet::Gates raw_, gates_;
  Activations summed_, turned_, qkv_;  // convolved; behind SiLU; with q and k of length 1
  Activations seen_, normed_, product_, result_;
};

}  // namespace snug::infer
