#include "hf/config.hpp"

#include <cmath>
#include <utility>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

/// Where multimodal checkpoints keep the text model's part.
constexpr const char* kTextParts[] = {"text_config", "llm_config", "lm_config", "language_config"};

const json* text_part(const json& file) {
  for (const char* name : kTextParts)
    if (file.contains(name) && file[name].is_object()) return &file[name];
  return nullptr;
}

const json* first_architecture(const json& part) {
  const auto found = part.find("architectures");
  if (found == part.end() || !found->is_array() || found->empty() || !(*found)[0].is_string()) return nullptr;
  return &(*found)[0];
}

std::string text_or(const json& part, const char* key, const std::string& fallback) {
  const auto found = part.find(key);
  return found != part.end() && found->is_string() ? found->get<std::string>() : fallback;
}

/// Values of `from` where `to` has none, or a null.
void fill(json& to, const json& from, const char* key) {
  if (from.contains(key) && !from[key].is_null() && (!to.contains(key) || to[key].is_null())) to[key] = from[key];
}

}  // namespace

Config::Config(const std::filesystem::path& folder)
    : Config{read_file(folder / "config.json", "name the folder of a checkpoint, with its config.json"),
             (folder / "config.json").string()} {}

Config::Config(const std::string& text, std::string where) : where_(std::move(where)) {
  file_ = parse_json(text, where_);
  if (!file_.is_object()) refuse("this is no object");
  read();
}

void Config::refuse(const std::string& problem, const std::string& remedy) const {
  throw Error{problem, where_, remedy};
}

void Config::cannot_be_said(const std::string& problem) const {
  refuse(problem, "run the checkpoint with the program it was published for: another file of it would compute something else");
}

void Config::read() {
  const json* part = text_part(file_);
  model_type_ = std::string{text_type_of(text_or(file_, "model_type", ""))};
  if (part) model_type_ = text_or(*part, "model_type", model_type_);
  json filled = part ? *part : file_;
  fill_defaults(filled, model_type_);
  text_ = file_;
  text_.update(filled);
  pick_class();
  read_rope();
}

void Config::pick_class() {
  const json* part = text_part(file_);
  const json* name = part ? first_architecture(*part) : nullptr;
  if (!name) name = first_architecture(file_);
  if (!name)
    refuse("config.json does not name the class of the model (architectures)",
           "fetch config.json of the checkpoint again");
  class_ = name->get<std::string>();
}

void Config::read_rope() {
  const json* given = find({"rope_parameters", "rope_scaling"});
  json p = given && given->is_object() ? *given : json::object();
  const bool nested = p.contains("full_attention") || p.contains("sliding_attention");
  rope_ = nested ? (p.contains("full_attention") && p["full_attention"].is_object() ? p["full_attention"] : json::object()) : p;
  if (nested && p.contains("sliding_attention") && p["sliding_attention"].is_object())
    sliding_rope_ = p["sliding_attention"];
  for (const char* name : {"global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base"})
    if (const json* theta = find({name}); theta && !rope_.contains("rope_theta")) rope_["rope_theta"] = *theta;
  for (const char* name : {"local_rope_theta", "rope_local_theta", "swa_rope_theta", "rope_local_base_freq"})
    if (const json* theta = find({name}); theta && !sliding_rope_.contains("rope_theta"))
      sliding_rope_["rope_theta"] = *theta;
  if (!rope_.contains("rope_type")) rope_["rope_type"] = text_or(rope_, "type", "default");
  fill(rope_, text_, "partial_rotary_factor");
  constexpr const char* kOriginal = "original_max_position_embeddings";  // outside it counts more
  if (find({kOriginal})) rope_[kOriginal] = text_[kOriginal];
}

Config Config::part(const char* name) const {
  const auto found = file_.find(name);
  if (found == file_.end() || !found->is_object())
    refuse(str("config.json has no ", name, ": this is no multimodal checkpoint"));
  json part = *found;
  part["architectures"] = json::array({class_});
  const std::string whole = text_or(file_, "model_type", ""), type = text_or(part, "model_type", "");
  if (!whole.empty() && (type.empty() || type == whole))  // published files of Qwen say none, older ones the model's own
    part["model_type"] = whole + (std::string_view{name} == "audio_config" ? "_audio" : "_vision");
  return Config{part.dump(), where_};
}

std::optional<Config> Config::part_if_any(const char* name) const {
  const auto found = file_.find(name);
  if (found == file_.end() || !found->is_object()) return std::nullopt;
  return part(name);
}

const json* Config::find(Names names) const {
  for (const std::string_view name : names) {
    const auto found = text_.find(name);
    if (found != text_.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

namespace {

std::optional<int64_t> whole(const json& value) {
  if (!value.is_number()) return {};
  const double number = value.get<double>();
  if (!(number >= 0) || number > 2147483648.0 || number != std::floor(number)) return {};
  return static_cast<int64_t>(number);
}

}  // namespace

std::optional<int64_t> Config::integer(Names names) const {
  const json* value = find(names);
  if (!value) return {};
  const auto number = whole(*value);
  if (!number) refuse(str("'", *names.begin(), "' is ", quoted(value->dump()), ", not a whole number of this kind"));
  return number;
}

std::optional<double> Config::real(Names names) const {
  const json* value = find(names);
  if (!value) return {};
  if (!value->is_number()) refuse(str("'", *names.begin(), "' is ", quoted(value->dump()), ", not a number"));
  return value->get<double>();
}

std::optional<bool> Config::flag(Names names) const {
  const json* value = find(names);
  if (!value) return {};
  if (!value->is_boolean()) refuse(str("'", *names.begin(), "' is ", quoted(value->dump()), ", not true or false"));
  return value->get<bool>();
}

std::optional<std::string> Config::string(Names names) const {
  const json* value = find(names);
  if (!value) return {};
  if (!value->is_string()) refuse(str("'", *names.begin(), "' is ", quoted(value->dump()), ", not a text"));
  return value->get<std::string>();
}

std::vector<double> Config::reals(Names names) const {
  const json* value = find(names);
  std::vector<double> numbers;
  if (!value) return numbers;
  if (!value->is_array()) refuse(str("'", *names.begin(), "' is no list"));
  for (const json& element : *value) {
    if (!element.is_number()) refuse(str("'", *names.begin(), "' holds ", quoted(element.dump()), ", no number"));
    numbers.push_back(element.get<double>());
  }
  return numbers;
}

std::vector<std::string> Config::strings(Names names) const {
  const json* value = find(names);
  std::vector<std::string> texts;
  if (!value) return texts;
  if (!value->is_array()) refuse(str("'", *names.begin(), "' is no list"));
  for (const json& element : *value) {
    if (!element.is_string()) refuse(str("'", *names.begin(), "' holds ", quoted(element.dump()), ", no text"));
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

int64_t Config::need_integer(Names names) const {
  const auto value = integer(names);
  if (!value) refuse(str("'", *names.begin(), "' is missing"), "fetch config.json of the checkpoint again");
  return *value;
}

double Config::need_real(Names names) const {
  const auto value = real(names);
  if (!value) refuse(str("'", *names.begin(), "' is missing"), "fetch config.json of the checkpoint again");
  return *value;
}

int64_t Config::heads() const {
  const int64_t heads = need_integer({"num_attention_heads", "n_head", "n_heads"});
  if (heads < 1) refuse("there are 0 attention heads");
  return heads;
}

int64_t Config::kv_heads() const {
  const int64_t heads_of_keys = integer({"num_key_value_heads", "n_kv_heads"}).value_or(heads());
  if (heads_of_keys < 1) refuse("there are 0 heads of keys");
  return heads_of_keys;
}

int64_t Config::head_dim() const {
  const auto given = integer({"head_dim"});
  const int64_t size = given ? *given : hidden() / heads();
  if (size < 1 || size > 65536) refuse(str("a head has the size ", size));
  return size;
}

int64_t Config::rotated(int64_t size, std::optional<double> share) const {
  const double part = share.value_or(1);
  if (!(part >= 0 && part <= 1)) refuse(str("partial_rotary_factor is ", part, ", not from 0 to 1"));
  return static_cast<int64_t>(static_cast<double>(size) * part);
}

std::optional<double> Config::rope_real(const char* key) const {
  const auto found = rope_.find(key);
  if (found == rope_.end() || !found->is_number()) return {};
  return found->get<double>();
}

std::string Config::rope_type() const { return text_or(rope_, "rope_type", "default"); }

}  // namespace snug::hf
