#include "hf/projector.hpp"

#include <algorithm>
#include <memory>
#include <sstream>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/assemble.hpp"
#include "hf/checkpoint.hpp"
#include "hf/projectors/projector_kind.hpp"
#include "hf/rows.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Besides the weights and biases of other parts, where a tower's matrices are clipped.
constexpr std::string_view kSuffixes[] = {"",          ".weight",    ".bias",      ".input_min",
                                          ".input_max", ".output_min", ".output_max"};

struct Known {
  std::string_view class_name, tower;  // tower: model_type of vision_config; empty: any
  const ProjectorKind* kind;
};
constexpr Known kKnown[] = {
    {"Gemma3ForConditionalGeneration", "", &kGemma3Projector},
    {"Gemma4ForConditionalGeneration", "", &kGemma4Projector},
    {"LlavaForConditionalGeneration", "pixtral", &kPixtralProjector},
    {"Mistral3ForConditionalGeneration", "pixtral", &kPixtralProjector},
    {"Qwen2VLForConditionalGeneration", "", &kQwen2VlProjector},
    {"Qwen2_5_VLForConditionalGeneration", "", &kQwen25VlProjector},
    {"Qwen3VLForConditionalGeneration", "", &kQwen3VlProjector},
    {"Qwen3VLMoeForConditionalGeneration", "", &kQwen3VlProjector},
    {"Qwen3_5ForConditionalGeneration", "", &kQwen3VlProjector},
    {"Qwen3_5MoeForConditionalGeneration", "", &kQwen3VlProjector},
};

const ProjectorKind& kind_of(const Config& config, const Config& vision) {
  const auto fits = [&](const Known& known) {
    return known.class_name == config.class_name() && (known.tower.empty() || known.tower == vision.model_type());
  };
  const auto found = std::ranges::find_if(kKnown, fits);
  if (found != std::end(kKnown)) return *found->kind;
  std::string names;
  for (const Known& known : kKnown) names += str(names.empty() ? "" : ", ", known.class_name);
  config.refuse(str("the vision tower ", quoted(vision.model_type()), " of a ", quoted(config.class_name()),
                    ", whose tensors snug cannot name"),
                str("leave the projector out, and get it with llama.cpp's converter; known are the towers of ",
                    names));
}

/// Members of both files, those of an "image_processor" among them; the processor's count first.
json read_processor(const fs::path& folder) {
  json all = json::object();
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    const json one = parse_json(read_file(file), file.string());
    if (!one.is_object()) continue;
    all.update(one);
    if (one.contains("image_processor") && one["image_processor"].is_object()) all.update(one["image_processor"]);
  }
  return all;
}

/// '#' replaced by a number.
std::string numbered(std::string_view pattern, int64_t number) {
  std::string name{pattern};
  for (size_t at = name.find('#'); at != name.npos; at = name.find('#')) name.replace(at, 1, std::to_string(number));
  return name;
}

void place(const ProjectorKind& kind, const Checkpoint& checkpoint, const Source& source, Output& out) {
  const std::span<const Rule> rules[] = {kind.rules, kind.hearing ? kind.hearing->rules : std::span<const Rule>{}};
  const Match match = find_rule(rules, source.name, kSuffixes);
  if (!match.rule)
    throw Error{str("the tensor ", quoted(source.raw->name), " has no place in a projector of the kind ", kind.type),
                std::string{source.raw->file}, "leave the projector out, and get it with llama.cpp's converter"};
  const std::string to = numbered(match.rule->to, match.expert);
  const Piece piece{checkpoint, source, "", to, match.suffix, match.expert};
  if (match.rule->transform)
    match.rule->transform(piece, out);
  else
    out.add(piece.name(), piece.weights());
}

void need(const Output& out, const Config& config, const std::string& name) {
  if (!out.has(name))
    throw Error{str("the checkpoint lacks the tensor that becomes '", name, "'"), config.where(),
                "fetch all files of the checkpoint; config.json and the weights must be of the same one"};
}

/// `begin`: "v" or "a", of the tensors that see and hear.
void need_all(const Output& out, const Config& tower, std::string_view begin, std::string_view needed,
              std::string_view of_layer) {
  std::istringstream names{std::string{needed}};
  for (std::string name; names >> name;) need(out, tower, name);
  const int64_t layers = vision_layers(tower);
  for (int64_t layer = 0; layer < layers; ++layer) {
    std::istringstream in_layer{std::string{of_layer}};
    for (std::string name; in_layer >> name;) need(out, tower, str(begin, ".blk.", layer, ".", name, ".weight"));
  }
  for (const char* norm : {".ln1.weight", ".ln2.weight"})
    if (out.has(str(begin, ".blk.", layers, norm)))
      tower.refuse("the tower has more layers than its part of config.json says",
                   "config.json and the weights are not of the same checkpoint");
}

void add_keys(const Images& images, const ProjectorKind& kind, Keys& keys) {
  const Config& vision = images.vision;
  keys.flag("has_vision_encoder", true);
  keys.number("vision.projection_dim", images.model.hidden());
  keys.number("vision.patch_size", vision.need_integer({"patch_size"}));
  keys.number("vision.embedding_length", vision.need_integer({"hidden_size", "width"}));
  keys.number("vision.feed_forward_length", vision.need_integer({"intermediate_size"}));
  keys.number("vision.block_count", vision_layers(vision));
  keys.number("vision.attention.head_count", vision_heads(vision));
  for (const char* key : {"image_mean", "image_std"})
    keys.metadata().set_array(str("clip.vision.", key), images.processor_reals(key));
  kind.keys(images, keys);
}

struct Kept {
  Config config;
  safetensors::Checkpoint weights;
};

void fill(const Kept& kept, const Images& images, ModelSource::Contents& model, MetadataBuilder& metadata, Output& out) {
  const ProjectorKind& kind = kind_of(images.model, images.vision);
  const Sources sources{kept.weights, kept.config, kind.name, model.remarks};
  const Checkpoint checkpoint{images.vision, sources, 0, 0, model.remarks};
  if (kind.generate) kind.generate(images, sources, out);
  for (const Source& source : sources.all()) place(kind, checkpoint, source, out);
  need_all(out, images.vision, "v", kind.needed, kind.needed_layer);
  const auto audio = kept.config.part_if_any("audio_config");
  const Hearing* hearing = audio ? kind.hearing : nullptr;
  if (hearing) need_all(out, *audio, "a", hearing->needed, hearing->needed_layer);
  if (audio && !hearing)
    model.remarks.push_back("what the checkpoint hears with is left out of the projector: it takes images only");
  model.tensors = out.tensors();
  Keys keys{"clip", metadata};
  add_general_keys(images.folder, main_format(model.tensors), keys);
  metadata.set("general.type", "mmproj");
  add_keys(images, kind, keys);
  if (hearing) hearing->keys(images.model, *audio, keys);
}

}  // namespace

std::vector<float> Images::processor_reals(const char* key) const {
  const auto found = processor.find(key);
  std::vector<float> values;
  if (found != processor.end() && found->is_array())
    for (const json& value : *found)
      if (value.is_number()) values.push_back(value.get<float>());
  if (values.size() != 3)
    throw Error{str("'", key, "' is not said, of red, green and blue"), folder.string(),
                "fetch preprocessor_config.json (or processor_config.json) of the checkpoint"};
  return values;
}

int64_t vision_layers(const Config& vision) {
  return vision.need_integer({"num_hidden_layers", "n_layers", "n_layer", "num_layers", "depth", "layers"});
}

int64_t vision_heads(const Config& vision) {
  const int64_t heads = vision.need_integer({"num_attention_heads", "num_heads", "heads"});
  if (heads < 1) vision.refuse("the tower has 0 attention heads");
  return heads;
}

std::optional<std::string> behind(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  return std::string{name.substr(prefix.size())};
}

void add_as_f32(const Piece& piece, Output& out) { out.add(piece.name(), as_f32(piece.weights())); }

ModelSource open_projector(const fs::path& folder) {
  if (!is_checkpoint(folder))
    throw Error{"this is no folder of a checkpoint, with a config.json", folder.string(),
                "a projector is made from the folder of a multimodal checkpoint"};
  const auto kept = std::make_shared<const Kept>(Kept{Config{folder}, safetensors::Checkpoint{folder}});
  const Config vision = kept->config.part("vision_config");
  const json processor = read_processor(folder);
  ModelSource::Contents model;
  MetadataBuilder metadata;
  Output out{folder.string()};
  fill(*kept, {folder, kept->config, vision, processor}, model, metadata, out);
  model.path = folder;
  model.files.assign(kept->weights.files().begin(), kept->weights.files().end());
  model.bytes = kept->weights.bytes();
  model.container = "safetensors";
  model.metadata = metadata.finish(folder.string());
  model.storage = {kept, metadata.storage(), out.storage()};
  return ModelSource{std::move(model)};
}

}  // namespace snug::hf
