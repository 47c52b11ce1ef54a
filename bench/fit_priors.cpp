// Fits what src/measure/alpha_prior.cpp says to measured sensitivities, and shows how well they foretell a model that
// was left out.
//   fit_priors FILE...    profiles with probes (`snug measure --profile`), or solver cases ({"tensors": [{"name",
//                         "choices": [{"format", "loss"}]}]}), whose losses in q4_0 stand for alpha up to a factor
//
// Model: ln alpha = ln scale(model) + ln role [- ln layers, in blocks] + ln position. Each is the median of what is left
// without it, over models weighed equally, until nothing moves: one odd tensor in forty does not pull a role about.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files/read_file.hpp"
#include "model/roles.hpp"
#include "recipe/profile.hpp"
#include "snug/error.hpp"

namespace {

struct Point {
  size_t model;
  std::string name, role, position;
  double log_alpha;  // plus ln layers in blocks
};

struct Data {
  std::vector<std::string> models;
  std::vector<bool> probed;  // by model: alphas are nats, not up to a factor
  std::vector<Point> points;
};

std::string position_of(snug::Role role, int layer, int layers) {
  const std::string name{snug::role_name(role)};
  const bool ffn = name.starts_with("ffn");
  if (layer == 0 && name == "ffn_down") return "first ffn_down";
  if (layer == 0 && name == "ffn_down_exps") return "first ffn_down";
  if (layer == 0 && !ffn) return "first attention";
  if (layer >= 0 && layer + 1 == layers && role == snug::Role::ffn_shexp) return "last shared expert";
  if (layer >= 0 && layer + 1 == layers && ffn) return "last ffn";
  return "";
}

using Alphas = std::vector<std::pair<std::string, double>>;

/// Sets `probed` where the file is a profile.
Alphas read(const std::string& path, bool& probed) {
  Alphas alphas;
  const std::string text = snug::read_file(path);
  const auto document = nlohmann::json::parse(text);
  probed = document.contains("snug_profile");
  if (probed) {
    for (const snug::ProfiledTensor& tensor : snug::parse_profile(text, path).tensors)
      if (tensor.alpha_from == "probe") alphas.emplace_back(tensor.name, tensor.alpha);
    return alphas;
  }
  for (const auto& tensor : document.at("tensors"))
    for (const auto& choice : tensor.at("choices"))
      if (choice.at("format") == "q4_0")
        alphas.emplace_back(tensor.at("name").get<std::string>(), choice.at("loss").get<double>());
  return alphas;
}

void add(Data& data, const std::string& path) {
  bool probed = false;
  const Alphas alphas = read(path, probed);
  int layers = 0;
  bool untied = false;
  for (const auto& [name, alpha] : alphas) {
    layers = std::max(layers, snug::layer_of(name) + 1);
    untied = untied || name == "output.weight";
  }
  for (const auto& [name, alpha] : alphas) {
    if (!(alpha > 0)) continue;
    const snug::Role role = snug::role_of(name);
    const int layer = snug::layer_of(name);
    std::string label{snug::role_name(role)};
    if (role == snug::Role::token_embd && !untied) label = "tied token_embd";
    data.points.push_back({data.models.size(), name, label, position_of(role, layer, layers),
                           std::log(alpha) + (layer >= 0 ? std::log(layers) : 0)});
  }
  data.models.push_back(path);
  data.probed.push_back(probed);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/// The median over models of the median in each.
double median_of_models(const std::map<size_t, std::vector<double>>& by_model) {
  std::vector<double> medians;
  for (const auto& [model, values] : by_model) medians.push_back(median(values));
  return median(medians);
}

struct Fit {
  std::map<size_t, double> scale;
  std::map<std::string, double> role, position;

  double predict(const Point& p) const {
    const auto r = role.find(p.role), at = position.find(p.position);
    return (r == role.end() ? 0 : r->second) + (at == position.end() ? 0 : at->second);
  }
};

Fit fit(const Data& data, size_t left_out) {
  Fit fit;
  std::vector<const Point*> points;
  for (const Point& p : data.points)
    if (p.model != left_out) points.push_back(&p);
  for (int round = 0; round < 200; ++round) {
    const auto update = [&](auto key_of, auto& effects, auto rest_of) {
      std::map<std::decay_t<decltype(key_of(*points[0]))>, std::map<size_t, std::vector<double>>> groups;
      for (const Point* p : points) groups[key_of(*p)][p->model].push_back(rest_of(*p));
      for (const auto& [key, group] : groups) effects[key] = median_of_models(group);
    };
    update([](const Point& p) { return p.model; }, fit.scale, [&](const Point& p) { return p.log_alpha - fit.predict(p); });
    update([](const Point& p) { return p.role; }, fit.role, [&](const Point& p) {
      return p.log_alpha - fit.scale[p.model] - (fit.predict(p) - fit.role[p.role]);
    });
    update([](const Point& p) { return p.position; }, fit.position, [&](const Point& p) {
      return p.log_alpha - fit.scale[p.model] - fit.role[p.role];
    });
    fit.position[""] = 0;
  }
  return fit;
}

double foretold(const Data& data, size_t model) {
  const Fit others = fit(data, model);
  std::vector<double> rest;
  for (const Point& p : data.points)
    if (p.model == model) rest.push_back(p.log_alpha - others.predict(p));
  const double scale = median(rest);
  for (double& r : rest) r = std::abs(r - scale);
  return std::exp(median(rest));
}

}  // namespace

int main(int argc, char** argv) try {
  Data data;
  for (int i = 1; i < argc; ++i) add(data, argv[i]);
  if (data.models.size() < 2) {
    std::fprintf(stderr, "usage: fit_priors FILE FILE...\n");
    return 2;
  }
  const Fit all = fit(data, data.models.size());
  std::vector<double> scales;  // of models with probes: their alphas are nats
  for (size_t m = 0; m < data.models.size(); ++m)
    if (data.probed[m]) scales.push_back(all.scale.at(m));
  const double unit = scales.empty() ? 0 : median(scales);
  for (const auto& [role, effect] : all.role) std::printf("role      %-20s %8.4f\n", role.c_str(), std::exp(effect + unit));
  for (const auto& [position, effect] : all.position)
    if (!position.empty()) std::printf("position  %-20s %8.2f\n", position.c_str(), std::exp(effect));
  for (size_t m = 0; m < data.models.size(); ++m)
    std::printf("left out, foretold within a factor of %.2f (median tensor): %s, scale %.3g\n", foretold(data, m),
                data.models[m].c_str(), std::exp(all.scale.at(m)));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
