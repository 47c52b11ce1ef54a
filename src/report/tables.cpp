#include "report/tables.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/json_reader.hpp"
#include "base/str.hpp"

namespace snug::report {
namespace {

using nlohmann::ordered_json;

// --- CSV
// -----------------------------------------------------------------------------------------------------------

/// The shortest digits that bring the same double back.
std::string number(double value) {
  char digits[32];
  const auto [end, bad] = std::to_chars(digits, digits + sizeof digits, value);
  return {digits, end};
}

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

constexpr const char* kColumns =
    "what,name,layer,role,format,bytes,bits_per_weight,loss,loss_error,loss_share,alpha,alpha_error,"
    "alpha_from,relative_error,measured,measured_error\n";

/// One line; what is not set stays empty.
struct Line {
  std::string what, name, layer, role, format, bytes, bits_per_weight, loss, loss_error, loss_share, alpha,
      alpha_error, alpha_from, relative_error, measured, measured_error;

  std::string text() const {
    return str(what, ",", cell(name), ",", layer, ",", role, ",", format, ",", bytes, ",", bits_per_weight,
               ",", loss, ",", loss_error, ",", loss_share, ",", alpha, ",", alpha_error, ",", alpha_from,
               ",", relative_error, ",", measured, ",", measured_error, "\n");
  }
};

template <class Point>
Line point_line(const char* what, const std::string& name, const Point& point) {
  Line line;
  line.what = what;
  line.name = name;
  line.bytes = str(point.file_bytes);
  line.bits_per_weight = number(point.bits_per_weight);
  line.loss = number(point.loss);
  return line;
}

Line recipe_line(const Report& report) {
  Line line;
  line.what = "recipe";
  line.name = report.method;
  line.bytes = str(report.file_bytes);
  line.bits_per_weight = number(report.bits_per_weight);
  if (report.loss_known) line.loss = number(report.predicted_loss);
  if (report.has_profile) line.loss_error = number(report.certainty.loss_error);
  return line;
}

Line tensor_line(const TensorRow& row, bool loss_known) {
  Line line;
  line.what = "tensor";
  line.name = row.name;
  if (row.layer >= 0) line.layer = str(row.layer);
  line.role = row.role;
  line.format = format_name(row.format);
  line.bytes = str(row.bytes);
  line.bits_per_weight = number(row.bits_per_weight);
  if (loss_known) line.loss = number(row.loss);
  if (loss_known) line.loss_share = number(row.loss_share);
  if (row.alpha_from.empty()) return line;
  line.loss_error = number(row.loss_error);
  line.alpha = number(row.alpha);
  line.alpha_error = number(row.alpha_error);
  line.alpha_from = row.alpha_from;
  line.relative_error = number(row.relative_error);
  return line;
}

Line measured_line(const MeasuredPoint& point) {
  Line line;
  line.what = "measured";
  line.name = point.label;
  if (point.bytes > 0) line.bytes = str(point.bytes);
  if (point.predicted > 0) line.loss = number(point.predicted);
  line.measured = number(point.measured);
  if (point.error > 0) line.measured_error = number(point.error);
  return line;
}

// --- JSON
// ----------------------------------------------------------------------------------------------------------

ordered_json head_json(const Report& r) {
  const auto known = [&](double loss) { return r.loss_known ? ordered_json(loss) : ordered_json(nullptr); };
  return {{"snug_report", 1},
          {"model", {{"name", r.model_name}, {"architecture", r.architecture}, {"digest", r.model_digest}}},
          {"recipe",
           {{"method", r.method},
            {"planned_for_the_report", !r.from_recipe},
            {"digest", r.recipe_digest},
            {"file_bytes", r.file_bytes},
            {"tensor_bytes", r.tensor_bytes},
            {"weights", r.weights},
            {"bits_per_weight", r.bits_per_weight},
            {"limits", r.limits},
            {"predicted_loss", known(r.predicted_loss)},
            {"certified_bound", known(r.certified_bound)},
            {"proven_optimal", r.proven_optimal},
            {"error_feedback", r.error_feedback}}}};
}

ordered_json models_json(const Report& report) {
  auto list = ordered_json::array();
  for (const ListedModel& model : report.models) {
    auto files = ordered_json::array();
    for (const ListedModel::File& file : model.files) files.push_back({{"name", file.name}, {"sha256", file.sha256}});
    list.push_back({{"name", model.name}, {"bytes", model.bytes}, {"bits_per_weight", model.bits_per_weight},
                    {"files", files}});
    if (model.measured) list.back().update({{"measured", model.measured->kl}, {"se", model.measured->standard_error}});
    if (model.perplexity > 0) list.back()["perplexity"] = model.perplexity;
    if (model.same_top > 0) list.back()["same_top"] = model.same_top;
    if (model.original_perplexity > 0) list.back()["original_perplexity"] = model.original_perplexity;
  }
  return list;
}

template <class Point>
ordered_json point_json(const Point& point) {
  return {{"file_bytes", point.file_bytes},
          {"tensor_bytes", point.tensor_bytes},
          {"bits_per_weight", point.bits_per_weight},
          {"loss", point.loss}};
}

ordered_json tensor_json(const TensorRow& row, bool loss_known) {
  ordered_json json{{"name", row.name},     {"role", row.role},
                    {"layer", row.layer},   {"format", format_name(row.format)},
                    {"copied", row.copied}, {"weights", row.weights},
                    {"bytes", row.bytes},   {"bits_per_weight", row.bits_per_weight},
                    {"loss", row.loss},     {"loss_share", row.loss_share}};
  if (!loss_known) json["loss"] = json["loss_share"] = nullptr;
  if (row.alpha_from.empty()) return json;
  json.update({{"loss_error", row.loss_error},
               {"alpha", row.alpha},
               {"alpha_error", row.alpha_error},
               {"alpha_from", row.alpha_from},
               {"relative_error", row.relative_error},
               {"relative_error_error", row.relative_error_error},
               {"experts", row.experts},
               {"weighted", row.weighted}});
  return json;
}

ordered_json measured_json(const Report& report) {
  auto points = ordered_json::array();
  for (const MeasuredPoint& p : report.measured) {
    points.push_back({{"label", p.label},
                      {"bytes", p.bytes},
                      {"predicted", p.predicted},
                      {"measured", p.measured},
                      {"se", p.error}});
    if (p.perplexity > 0) points.back()["perplexity"] = p.perplexity;
    if (p.same_top > 0) points.back()["same_top"] = p.same_top;
    if (p.original_perplexity > 0) points.back()["original_perplexity"] = p.original_perplexity;
  }
  const Agreement& a = report.agreement;
  return {{"points", points},
          {"compared", a.points},
          {"rank_correlation", a.rank_correlation},
          {"median_factor", a.median_factor},
          {"median_ratio", a.median_ratio}};
}

ordered_json certainty_json(const Certainty& c) {
  return {{"probed_tensors", c.probed},
          {"prior_tensors", c.priors},
          {"tensors_without_imatrix", c.unweighted},
          {"loss_share_probed_within_15_percent", c.share_sharp},
          {"loss_share_probed_otherwise", c.share_probed},
          {"loss_share_prior", c.share_prior},
          {"loss_error", c.loss_error},
          {"sampling_error", c.sampling_error}};
}

}  // namespace

std::string to_csv(const Report& report) {
  std::string text = kColumns + recipe_line(report).text();
  for (const CurvePoint& point : report.curve) text += point_line("curve", point.mix, point).text();
  for (const PresetPoint& point : report.presets) text += point_line("preset", point.name, point).text();
  for (const TensorRow& row : report.tensors) text += tensor_line(row, report.loss_known).text();
  for (const MeasuredPoint& point : report.measured) text += measured_line(point).text();
  return text;
}

std::string to_json(const Report& report) {
  ordered_json json = head_json(report);
  auto curve = ordered_json::array(), presets = ordered_json::array(), tensors = ordered_json::array();
  for (const CurvePoint& point : report.curve) {
    curve.push_back(point_json(point));
    curve.back()["mix"] = point.mix;
  }
  for (const PresetPoint& point : report.presets) {
    presets.push_back({{"name", point.name}});
    presets.back().update(point_json(point));
  }
  for (const TensorRow& row : report.tensors) tensors.push_back(tensor_json(row, report.loss_known));
  json["curve"] = curve;
  json["presets"] = presets;
  json["tensors"] = tensors;
  if (report.measured_recipe)
    json["recipe"]["measured"] = {{"kl", report.measured_recipe->kl},
                                  {"standard_error", report.measured_recipe->standard_error},
                                  {"tokens", report.measured_recipe->tokens},
                                  {"text", report.measured_recipe->text}};
  if (!report.models.empty()) json["models"] = models_json(report);
  json["measured"] = measured_json(report);
  if (report.has_profile) json["certainty"] = certainty_json(report.certainty);
  return json_text(json, 1) + "\n";
}

}  // namespace snug::report
