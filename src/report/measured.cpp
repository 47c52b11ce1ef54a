#include "report/measured.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "report/listed_model.hpp"
#include "snug/error.hpp"
#include "snug/recipe.hpp"

namespace snug::report {
namespace {

constexpr const char* kBegin = "begin with a line such as label,bytes,predicted,measured,se";

// --- JSON
// ----------------------------------------------------------------------------------------------------------

MeasuredPoint parse_point(const JsonNode& node, const std::filesystem::path& folder) {
  MeasuredPoint point;
  if (node.has("recipe")) {
    const std::filesystem::path file = folder / node.at("recipe").text();
    const Recipe recipe = parse_recipe(read_file(file), file.string());
    point.label = file.stem().string();
    point.bytes = recipe.file_bytes;
    point.predicted = recipe.predicted_loss;
  }
  if (node.has("label")) point.label = node.at("label").text();
  if (node.has("bytes")) point.bytes = node.at("bytes").whole();
  if (node.has("predicted")) point.predicted = node.at("predicted").number_from_zero();
  if (node.has("se")) point.error = node.at("se").number_from_zero();
  if (node.has("perplexity")) point.perplexity = node.at("perplexity").number_from_zero();
  if (node.has("same_top")) point.same_top = node.at("same_top").number_from_zero();
  point.measured = node.at("measured").number_from_zero();
  return point;
}

/// What `snug eval MODEL --base ORIGINAL --json` prints.
MeasuredPoint parse_evaluation(const JsonNode& node) {
  if (!node.has("kl_nats")) node.refuse("an evaluation without a divergence", "evaluate the model against its original");
  const std::filesystem::path model = node.at("model").text();
  std::error_code missing;
  const auto bytes = std::filesystem::file_size(model, missing);
  MeasuredPoint point;
  point.label = label_of(model);
  if (!missing) point.bytes = static_cast<int64_t>(bytes);
  point.measured = std::max(node.at("kl_nats").at("value").number(), 0.0);
  point.error = node.at("kl_nats").at("error").number_from_zero();
  point.perplexity = node.at("perplexity").at("value").number_from_zero();
  point.same_top = node.at("same_top").at("value").number_from_zero();
  return point;
}

std::vector<MeasuredPoint> parse_json_list(const std::string& text, const std::filesystem::path& path) {
  const nlohmann::json document = parse_json(text, path.string());
  const JsonNode list{document, path.string()};
  if (list.has("model")) return {parse_evaluation(list)};
  std::vector<MeasuredPoint> points;
  for (size_t i = 0; i < list.array_size(); ++i)
    points.push_back(parse_point(list.at(i), path.parent_path()));
  return points;
}

// --- CSV
// -----------------------------------------------------------------------------------------------------------

/// The cells of one line; a quoted cell may hold commas and doubled quotes, but no line end.
std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells(1);
  bool in_quotes = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && in_quotes && i + 1 < line.size() && line[i + 1] == '"')
      cells.back() += line[++i];
    else if (c == '"')
      in_quotes = !in_quotes;
    else if (c == ',' && !in_quotes)
      cells.emplace_back();
    else if (c != '\r')
      cells.back() += c;
  }
  return cells;
}

double number_in(const std::string& cell, const std::string& column, const std::string& where) {
  double number = 0;
  const auto [end, bad] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  if (bad != std::errc{} || end != cell.data() + cell.size() || !std::isfinite(number) || number < 0)
    throw Error{str(quoted(cell), " in the column '", column, "' is no number from 0"), where,
                "write numbers as 0.0123"};
  return number;
}

std::vector<MeasuredPoint> parse_csv(const std::string& text, const std::string& path) {
  std::vector<MeasuredPoint> points;
  std::vector<std::string> names;
  size_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::vector<std::string> cells = cells_of(std::string_view{text}.substr(at, end - at));
    at = end + 1;
    const std::string where = str(path, ", line ", ++line_number);
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (names.empty()) {
      names = cells;
      if (std::ranges::find(names, "measured") == names.end())
        throw Error{"no column is named 'measured'", where, kBegin};
      continue;
    }
    if (cells.size() != names.size())
      throw Error{str(cells.size(), " cells where the header has ", names.size()), where,
                  "give every line as many as the first one"};
    MeasuredPoint point;
    const auto number = [&](const char* column) {
      const auto found = std::ranges::find(names, column);
      if (found == names.end() || cells[found - names.begin()].empty()) return 0.0;
      return number_in(cells[found - names.begin()], column, where);
    };
    if (const auto label = std::ranges::find(names, "label"); label != names.end())
      point.label = cells[label - names.begin()];
    point.bytes = std::llround(std::min(number("bytes"), 9e18));
    point.predicted = number("predicted");
    point.measured = number("measured");
    point.error = number("se");
    point.perplexity = number("perplexity");
    point.same_top = number("same_top");
    points.push_back(std::move(point));
  }
  return points;
}

// --- agreement
// -----------------------------------------------------------------------------------------------------

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/// Ranks from 0, ties at the mean of theirs.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  return ranks;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double mean_a = std::accumulate(a.begin(), a.end(), 0.0) / n;
  const double mean_b = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

}  // namespace

Agreement agreement_of(const std::vector<MeasuredPoint>& points) {
  std::vector<double> predicted, measured, ratios, factors;
  for (const MeasuredPoint& point : points) {
    if (!(point.predicted > 0) || !(point.measured > 0)) continue;
    predicted.push_back(point.predicted);
    measured.push_back(point.measured);
    ratios.push_back(point.measured / point.predicted);
    factors.push_back(std::max(ratios.back(), 1 / ratios.back()));
  }
  Agreement agreement{static_cast<int64_t>(ratios.size()), 0, median(factors), median(ratios)};
  if (ratios.size() >= 3) agreement.rank_correlation = correlation(ranks_of(predicted), ranks_of(measured));
  return agreement;
}

std::vector<MeasuredPoint> read_measured(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos) throw Error{"the list of measurements is empty", path.string(), kBegin};
  return text[start] == '[' || text[start] == '{' ? parse_json_list(text, path)
                                                  : parse_csv(text, path.string());
}

}  // namespace snug::report
