#include "fold/choose.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "base/events.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

struct Powers {
  double inputs, weights;
};
constexpr Powers kPowers[] = {{0.25, 0},    {0.25, 0.25}, {0.25, 0.5}, {0.25, 1}, {0.5, 0},  {0.5, 0.25},
                              {0.5, 0.5},   {0.5, 1},     {0, 0.25},   {0, 0.5},  {0, 1}};
constexpr double kWorthwhile = 0.97;   // of the error without: what gains less may be chance, and adds rounding
constexpr int64_t kRows = 128;         // of each reader
constexpr int64_t kWeighedRows = 512;  // of each reader, for the size of its columns
constexpr float kLeast = 1e-6f;        // of the largest mean square: channels that hardly carry anything

bool adds_one_to_norms(const ModelSource& model) {
  const std::string architecture = shape_of(model).architecture;
  return architecture == "gemma2" || architecture == "gemma3";
}

/// Values of a pair's readers by column, added up by channel, one matrix of channels after another.
class ChannelSums {
 public:
  explicit ChannelSums(const FoldPair& pair) : pair_(pair), sums_(static_cast<size_t>(pair.matrices * pair.channels)) {}

  void add(int64_t matrix, int64_t column, double value) {
    const int64_t head = pair_.head, sharing = pair_.heads_sharing;
    const int64_t channel = sharing > 1 ? column / head / sharing * head + column % head : column;
    sums_[static_cast<size_t>((pair_.matrices > 1 ? matrix : 0) * pair_.channels + channel)] += value;
  }
  void add(const ChannelSums& other, double by) {
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += by * other.sums_[i];
  }
  double total() const { return std::accumulate(sums_.begin(), sums_.end(), 0.0); }

  /// Each matrix's own, none below a share of its largest: all 1 where they are no numbers to go by.
  std::vector<float> bounded() const {
    std::vector<float> values(sums_.size(), 1.0f);
    const auto size = static_cast<size_t>(pair_.channels);
    for (size_t first = 0; first < sums_.size(); first += size) {
      const auto one = std::span{sums_}.subspan(first, size);
      const double most = *std::ranges::max_element(one);
      for (size_t i = 0; i < size && most > 0 && std::isfinite(most); ++i)
        values[first + i] = static_cast<float>(std::max(one[i] / most, double{kLeast}));
    }
    return values;
  }

 private:
  const FoldPair& pair_;
  std::vector<double> sums_;
};

/// What is known of a pair's channels; of each matrix relative to its largest.
struct ChannelSquares {
  std::vector<float> inputs;   // mean squares in the calibration text
  std::vector<float> weights;  // of the columns that read them, each reader counting the same
};

/// Over all experts where the channels are one for all, over the heads that share one. Nothing where no reader has data.
std::optional<std::vector<float>> input_squares(const FoldPair& pair, const Importance& importance) {
  for (const Tensor* reader : pair.readers) {
    const TensorImportance* data = importance.find(reader->name);
    if (!data) continue;
    ChannelSums sums{pair};
    for (int64_t m = 0; m < reader->experts(); ++m) {
      const ColumnWeights columns = data->columns(m);
      const double share = data->mats > 1 && pair.matrices == 1 ? data->counts[static_cast<size_t>(m)] : 1;
      for (int64_t j = 0; j < reader->cols(); ++j) sums.add(m, j, share * columns.mean_square[static_cast<size_t>(j)]);
    }
    return sums.bounded();
  }
  return std::nullopt;
}

std::vector<float> weight_squares(const FoldPair& pair) {
  ChannelSums sums{pair};
  for (const Tensor* reader : pair.readers) {
    ChannelSums own{pair};
    std::vector<float> row(static_cast<size_t>(reader->cols()));
    const int64_t count = std::min(reader->rows(), kWeighedRows * pair.matrices);
    for (int64_t k = 0; k < count; ++k) {
      const int64_t r = k * reader->rows() / count;
      reader->read_row(r, row);
      for (int64_t j = 0; j < reader->cols(); ++j)
        own.add(r / reader->shape[1], j, double{row[static_cast<size_t>(j)]} * row[static_cast<size_t>(j)]);
    }
    if (const double total = own.total(); total > 0) sums.add(own, 1 / total);
  }
  return sums.bounded();
}

std::optional<ChannelSquares> squares_of(const FoldPair& pair, const Importance& importance) {
  auto inputs = input_squares(pair, importance);
  if (!inputs) return std::nullopt;
  return ChannelSquares{std::move(*inputs), weight_squares(pair)};
}

/// A root mean square to a power that is a multiple of 1/4, by square roots alone: the same bits everywhere.
float power(float mean_square, double exponent) {
  const float root = std::sqrt(mean_square), half = std::sqrt(root), quarter = std::sqrt(half);
  const int quarters = static_cast<int>(4 * exponent);
  return (quarters & 4 ? root : 1) * (quarters & 2 ? half : 1) * (quarters & 1 ? quarter : 1);
}

/// About 1 in each matrix: the geometric mean of the largest and the least is.
std::vector<float> factors_of(const FoldPair& pair, const ChannelSquares& squares, Powers powers, bool plus_one) {
  std::vector<float> factors(squares.inputs.size());
  for (size_t i = 0; i < factors.size(); ++i)
    factors[i] = power(squares.inputs[i], powers.inputs) / power(squares.weights[i], powers.weights);
  const auto size = static_cast<size_t>(pair.channels);
  for (size_t first = 0; first < factors.size(); first += size) {
    const auto one = std::span{factors}.subspan(first, size);
    const auto [low, high] = std::ranges::minmax_element(one);
    const float middle = std::sqrt(*low) * std::sqrt(*high);
    for (float& factor : one) factor /= middle;
  }
  return pair.is_vector() ? storable(*pair.writer, factors, plus_one) : factors;
}

/// What the readers of a pair lose on a sample of their rows.
class ReaderErrors {
 public:
  ReaderErrors(const FoldPair& pair, const Importance& importance, const LikelyFormat& format)
      : pair_(pair), importance_(importance), format_(format) {}

  /// Of each reader that has data and is quantized, with columns multiplied by these factors.
  std::vector<double> with(std::span<const float> factors) const {
    const std::vector<float> columns = pair_.of_columns(factors);
    std::vector<double> errors;
    for (const Tensor* reader : pair_.readers) {
      const Format* format = find_format(format_(*reader));
      const TensorImportance* data = importance_.find(reader->name);
      if (data && format && format->block_weights > 1) errors.push_back(error_of(*reader, *format, *data, columns));
    }
    return errors;
  }

 private:
  static double error_of(const Tensor& reader, const Format& format, const TensorImportance& data,
                         std::span<const float> factors) {
    const auto cols = static_cast<size_t>(reader.cols());
    std::vector<float> row(cols), decoded(cols), squares(cols), mean;
    std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(reader.cols())));
    double error = 0;
    const int64_t count = std::min(kRows, reader.rows());
    for (int64_t k = 0; k < count; ++k) {
      const int64_t r = k * reader.rows() / count;
      const size_t first = factors.size() > cols ? static_cast<size_t>(r / reader.shape[1]) * cols : 0;
      const auto by = factors.subspan(first, cols);
      ColumnWeights columns = columns_of(&data, reader, r);
      reader.read_row(r, row);
      mean.resize(columns.mean.size());
      for (size_t j = 0; j < cols; ++j) {
        row[j] *= by[j];
        squares[j] = columns.mean_square[j] / (by[j] * by[j]);
        if (!mean.empty()) mean[j] = columns.mean[j] / by[j];
      }
      columns.mean_square = squares;
      columns.mean = mean;
      quantize(format, {row.data(), 1, reader.cols()}, columns, Effort::normal, blocks);
      format.decode(blocks.data(), decoded);
      error += token_share_of(&data, reader, r) * weighted_error(row, decoded, columns);
    }
    return error;
  }

  const FoldPair& pair_;
  const Importance& importance_;
  const LikelyFormat& format_;
};

struct Choice {
  Powers powers{0, 0};
  double ratio = 1;       // of the error to that without
  bool is_known = false;  // there was something to measure
};

/// The mean of the readers' ratios: each counts the same.
double mean_ratio(std::span<const double> errors, std::span<const double> without) {
  double sum = 0;
  for (size_t i = 0; i < errors.size(); ++i) sum += without[i] > 0 ? errors[i] / without[i] : 1;
  return sum / static_cast<double>(errors.size());
}

Choice choose(const FoldPair& pair, const Importance& importance, const LikelyFormat& format, bool plus_one) {
  const auto squares = squares_of(pair, importance);
  if (!squares) return {};
  const ReaderErrors errors{pair, importance, format};
  const std::vector<double> without = errors.with(std::vector<float>(squares->inputs.size(), 1.0f));
  if (without.empty()) return {};
  Choice best{{0, 0}, kWorthwhile, true};
  for (const Powers& powers : kPowers) {
    const double ratio = mean_ratio(errors.with(factors_of(pair, *squares, powers, plus_one)), without);
    if (ratio < best.ratio) best = {powers, ratio, true};
  }
  return best;
}

bool is_fold(const Choice& choice) { return choice.powers.inputs + choice.powers.weights > 0; }

std::string line_of(const FoldPair& pair, const Choice& choice) {
  std::string names;
  for (const Tensor* reader : pair.readers) names += str(" ", printable(reader->name));
  return str("fold: ", pair.name, ", inputs to the power ", fixed(choice.powers.inputs, 2), " over weights to ",
             fixed(choice.powers.weights, 2), ", error ", fixed(choice.ratio, 3), " of that without:", names);
}

}  // namespace

std::vector<RecipeFold> choose_folds(const ModelSource& model, const Importance& importance,
                                     const LikelyFormat& format) {
  const std::vector<FoldPair> pairs = fold_pairs(model);
  const bool plus_one = adds_one_to_norms(model);
  std::vector<Choice> choices(pairs.size());
  parallel_for(static_cast<int64_t>(pairs.size()), [&](int64_t i) {
    check_cancelled();
    choices[static_cast<size_t>(i)] = choose(pairs[static_cast<size_t>(i)], importance, format, plus_one);
  });
  const auto known = std::ranges::count_if(choices, &Choice::is_known);
  if (known == 0)
    throw Error{str("the imatrix knows none of the ", pairs.size(), " pairs of tensors that factors could be moved between"),
                model.path().string(), "use an imatrix of this very model, and formats that its tensors fit"};
  std::vector<RecipeFold> folds;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (!is_fold(choices[i])) continue;
    log_line(line_of(pairs[i], choices[i]));
    folds.push_back({pairs[i].name, choices[i].powers.inputs, choices[i].powers.weights});
  }
  const auto unknown = static_cast<int64_t>(pairs.size()) - known;
  log_line(str("folds: ", folds.size(), " of ", known, " pairs of tensors gain by them; ", unknown, " could not be measured"));
  return folds;
}

Fold fold_of(const ModelSource& model, const Importance& importance, std::span<const RecipeFold> folds) {
  const std::vector<FoldPair> pairs = fold_pairs(model);
  const bool plus_one = adds_one_to_norms(model);
  Fold fold;
  for (const RecipeFold& wanted : folds) {
    const auto pair = std::ranges::find(pairs, wanted.pair, &FoldPair::name);
    const auto squares = pair == pairs.end() ? std::nullopt : squares_of(*pair, importance);
    if (!squares || !(wanted.inputs <= 1 && wanted.weights <= 1))
      throw Error{str("the fold of '", printable(wanted.pair), "' cannot be made: the model has no such pair of tensors, ",
                      "or the imatrix nothing of it"),
                  model.path().string(), "use the model and the imatrix that the recipe was made with"};
    fold.add(*pair, factors_of(*pair, *squares, {wanted.inputs, wanted.weights}, plus_one));
  }
  return fold;
}

}  // namespace snug
