#include "recipe/profile.hpp"

#include <nlohmann/json.hpp>

#include "base/str.hpp"
#include "recipe/format_names.hpp"
#include "base/json_reader.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

Json to_json(const ProfiledTensor& tensor) {
  Json candidates = Json::array();
  for (const Candidate& c : tensor.candidates)
    candidates.push_back({{"format", format_name(c.format)},
                          {"bytes", c.bytes},
                          {"relative_error", c.relative_error},
                          {"standard_error", c.standard_error},
                          {"loss_pico_nats", c.loss}});
  return {{"name", tensor.name},   {"role", tensor.role},       {"layer", tensor.layer},
          {"cols", tensor.cols},   {"rows", tensor.rows},       {"experts", tensor.experts},
          {"source", format_name(tensor.source)}, {"alpha", tensor.alpha}, {"alpha_error", tensor.alpha_error}, {"alpha_from", tensor.alpha_from},
          {"energy", tensor.energy}, {"weighted", tensor.weighted}, {"candidates", candidates}};
}

/// A number that can be added up over all tensors a model may have.
int64_t summable(const JsonNode& node) {
  constexpr int64_t kMost = int64_t{1} << 50;
  if (node.whole() > kMost) node.refuse(str(node.whole(), " is out of range"));
  return node.whole();
}

FormatId parse_format(const JsonNode& node) {
  const std::string name = node.text();
  const auto id = format_of_name(name);
  if (!id) node.refuse(str("unknown format '", name, "'"));
  return *id;
}

ProfiledTensor parse_tensor(const JsonNode& node) {
  ProfiledTensor tensor;
  tensor.name = node.at("name").text();
  tensor.role = node.at("role").text();
  const double layer = node.at("layer").number();
  tensor.layer = layer >= 0 && layer < 1e6 ? static_cast<int>(layer) : -1;
  tensor.cols = node.at("cols").whole();
  tensor.rows = node.at("rows").whole();
  tensor.experts = node.at("experts").whole();
  if (tensor.cols < 1 || tensor.rows < 1 || tensor.experts < 1) node.refuse("a tensor without weights");
  if (tensor.rows > (int64_t{1} << 50) / tensor.cols) node.refuse("a tensor with too many weights");
  tensor.source = parse_format(node.at("source"));
  tensor.alpha = node.at("alpha").number_from_zero();
  if (node.has("alpha_error")) tensor.alpha_error = node.at("alpha_error").number_from_zero();
  tensor.alpha_from = node.at("alpha_from").text();
  tensor.energy = node.at("energy").number_from_zero();
  tensor.weighted = node.at("weighted").boolean();
  const JsonNode candidates = node.at("candidates");
  for (size_t i = 0; i < candidates.array_size(); ++i) {
    const JsonNode c = candidates.at(i);
    tensor.candidates.push_back(
        {parse_format(c.at("format")), summable(c.at("bytes")), c.at("relative_error").number_from_zero(),
         c.at("standard_error").number_from_zero(), summable(c.at("loss_pico_nats"))});
  }
  if (tensor.candidates.empty()) candidates.refuse("a tensor without candidates");
  return tensor;
}

}  // namespace

std::string to_json(const Profile& profile) {
  Json tensors = Json::array(), fixed = Json::array();
  for (const ProfiledTensor& tensor : profile.tensors) tensors.push_back(to_json(tensor));
  for (const UnquantizedTensor& tensor : profile.fixed)
    fixed.push_back({{"name", tensor.name}, {"format", format_name(tensor.format)}, {"weights", tensor.weights},
                     {"bytes", tensor.bytes}});
  return json_text(Json{{"snug_profile", kVersion},
                        {"model_digest", profile.model_digest},
                        {"imatrix_digest", profile.imatrix_digest},
                        {"state_digest", profile.state_digest},
                        {"tensors", tensors},
                        {"fixed", fixed}},
                   1) +
         "\n";
}

Profile parse_profile(const std::string& json, const std::string& where) {
  const nlohmann::json document = parse_json(json, where);
  const JsonNode root{document, where};
  if (root.at("snug_profile").whole() != kVersion)
    root.at("snug_profile").refuse(str("a profile of version ", root.at("snug_profile").whole()),
                                   str("this snug reads version ", kVersion));
  Profile profile;
  profile.model_digest = root.at("model_digest").text();
  profile.imatrix_digest = root.at("imatrix_digest").text();
  profile.state_digest = root.at("state_digest").text();
  const JsonNode tensors = root.at("tensors"), fixed = root.at("fixed");
  for (size_t i = 0; i < tensors.array_size(); ++i) profile.tensors.push_back(parse_tensor(tensors.at(i)));
  for (size_t i = 0; i < fixed.array_size(); ++i)
    profile.fixed.push_back({fixed.at(i).at("name").text(), parse_format(fixed.at(i).at("format")),
                             summable(fixed.at(i).at("weights")), summable(fixed.at(i).at("bytes"))});
  return profile;
}

}  // namespace snug
