#pragma once

#include <vector>

#include "infer/layers/delta_net.hpp"
#include "infer/reverse/reverse.hpp"

namespace snug::infer {

/// A delta net over one whole sequence that starts from nothing, and the way back. States of a head are kept for all
/// tokens while the head is on its way back: tokens * dim^2 values.
class DeltaNetWay {
 public:
  DeltaNetWay(const DeltaNet& net, Reverse& reverse, Rows a);

  const Rows& result() const { return result_; }
  /// By a, from g [draws * tokens, embedding] by the result.
  Rows back(const Rows& g) const;

 private:
  struct Gradients {
    Rows qkv, beta, decay;
  };
  int64_t tokens() const { return a_.count(); }
  int64_t dim() const { return net_.shape_.dim; }
  void convolve();
  void normalise();
  void run_head(int64_t head, Rows* seen, std::vector<float>* states) const;
  void head_back(int64_t head, const std::vector<float>& states, int64_t draw, const Rows& by_o,
                 Gradients& out) const;
  Rows convolution_back(const Rows& by_turned) const;
  void norms_back(Rows& by_qkv) const;
  Rows gates_back(const Gradients& by) const;
  Rows projection_back(const Rows& by_u, const Rows& by_z) const;

  const DeltaNet& net_;
  Reverse& reverse_;
  Rows a_;
  DeltaNet::Inputs in_;
  DeltaNet::Gates raw_, gates_;
  Rows summed_, turned_, qkv_;  // convolved; behind SiLU; with q and k of length 1
  Rows seen_, normed_, product_, result_;
};

}  // namespace snug::infer
