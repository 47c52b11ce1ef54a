#pragma once

#include "model/roles.hpp"

namespace snug {

/// alpha of a tensor without a probe: nats of KL divergence per unit of relative output error. Only ratios between
/// tensors steer the plan; the absolute scale makes a whole recipe's predicted loss the right order of magnitude.
/// Figures and where each comes from: the table in alpha_prior.cpp.
double alpha_prior(Role role, int layer, const ModelShape& shape);

}  // namespace snug
