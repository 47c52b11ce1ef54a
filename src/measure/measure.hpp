#pragma once

#include <string>
#include <vector>

#include "imatrix/importance.hpp"
#include "snug/format.hpp"
#include "snug/measure_options.hpp"
#include "snug/model.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// Measures every quantizable tensor of the model in every candidate format, or takes what `state` already knows.
/// Each finished tensor is synced to `state`. Deterministic on any thread count. Ctrl-C throws Fault::interrupted
/// after the tensors under way are saved.
///
/// The Profile holds all tensors if shards == 1, otherwise those of the shard.
Profile measure(const ModelSource& model, const Importance* importance, Store& state, const MeasureOptions& options,
                MeasureReport* report = nullptr);

/// The same tensors and candidates with their bytes, all losses 0: tells before hours of work what can be reached.
Profile unmeasured_profile(const ModelSource& model, const MeasureOptions& options);

}  // namespace snug
