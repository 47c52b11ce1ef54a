#include "fit/profile_store.hpp"

#include <algorithm>
#include <tuple>

#include "base/digest.hpp"
#include "artifact/artifact.hpp"
#include "plan/baseline_recipes.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

std::string_view text_of(const Record& record) {
  return {reinterpret_cast<const char*>(record.payload.data()), record.payload.size()};
}

/// The more was measured, the earlier; digests only break ties.
auto order_of(const SavedProfile& saved) {
  const Profile& profile = saved.profile;
  const auto probed = std::ranges::count_if(
      profile.tensors, [](const ProfiledTensor& tensor) { return tensor.alpha_from != "prior"; });
  size_t candidates = 0;
  for (const ProfiledTensor& tensor : profile.tensors) candidates += tensor.candidates.size();
  return std::tuple{-probed, ~candidates, profile.imatrix_digest.empty(), profile.state_digest};
}

}  // namespace

namespace {

/// Of a plan for that profile: as many bytes as the header of what such a plan becomes.
int64_t header_bytes(const Profile& profile, const ModelSource& model, const Importance* importance) {
  Recipe recipe = copy_recipe(model);
  recipe.method = "optimal";
  recipe.imatrix_digest = profile.imatrix_digest;
  recipe.state_digest = profile.state_digest;
  recipe.budget_kind = BudgetKind::file;
  return make_artifact(model, importance)->fixed_bytes(recipe);
}

}  // namespace

SavedProfile snapshot_of(const Profile& profile, const ModelSource& model, const Importance* importance) {
  const ModelShape shape = shape_of(model);
  return {shape.name,
          shape.architecture,
          shape.layers,
          shape.heads,
          shape.heads_kv,
          shape.experts,
          header_bytes(profile, model, importance),
          profile};
}

void save_profile(Store& state, const Profile& profile, const ModelSource& model,
                  const Importance* importance) {
  Hasher hasher;
  hasher.add("saved profile").add(profile.model_digest).add(profile.imatrix_digest).add(profile.state_digest);
  const std::string text = to_text(snapshot_of(profile, model, importance));
  if (text.size() > kMaxPayloadBytes) return;
  state.put(RecordKind::note, hasher.finish(), std::as_bytes(std::span{text}));
  state.sync();
}

std::vector<SavedProfile> saved_profiles(const Store& state, const std::string& where) {
  std::vector<SavedProfile> saved;
  state.for_each([&](const Record& record) {
    if (record.kind != RecordKind::note || !is_saved_profile(text_of(record))) return;
    saved.push_back(parse_saved_profile(std::string{text_of(record)}, where));
  });
  std::ranges::sort(saved, {}, order_of);
  return saved;
}

}  // namespace snug
