#include "quant/feedback/second_order.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include "base/str.hpp"
#include "quant/gain.hpp"
#include "quant/kernels/kernels.hpp"
#include "quant/feedback/panel_sums.hpp"
#include "quant/feedback/row_codes.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

constexpr int64_t kRows = 16;    // that go over the columns together: H is read once for all
constexpr int64_t kBlock = 256;  // columns after which the others are told; a multiple of all blocks
constexpr int kSweeps = 6;       // over all columns, at most; few codes change after the third

/// Sum of products in double, eight lanes in one order.
double dot(std::span<const float> a, std::span<const float> b) {
  double lane[8] = {};
  size_t i = 0;
  for (; i + 8 <= a.size(); i += 8)
    for (size_t l = 0; l < 8; ++l) lane[l] += static_cast<double>(a[i + l]) * b[i + l];
  double sum = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  for (; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// What is the same for all rows.
struct Setting {
  const Format& format;
  const BlockCodes& codes;
  const GroupSearch* search;  // codebook formats
  const HessianFactor& curvature;
  float along_row;

  int64_t unit() const { return search ? kGroup : 1; }  // columns that are coded together
};

/// One row under way: its blocks, and what its differences d = y - w do.
class Row {
 public:
  Row(const Setting& setting, std::span<const float> weights)
      : setting_(setting),
        h_(setting.curvature),
        w_(weights),
        codes_(setting.format, setting.codes, cols()),
        target_(weights.begin(), weights.end()),
        row_slope_(weights.size()),
        slope_(weights.size()) {}

  int64_t cols() const { return static_cast<int64_t>(w_.size()); }

  void use(std::byte* blocks) { blocks_ = blocks; }

  // --- sums over columns, which go over many rows at once

  /// H w; set_energy() when all columns are in.
  PanelSum row_slope_of(std::span<const int32_t> columns, int64_t from) {
    return {row_slope_.data(), columns, w_.subspan(static_cast<size_t>(from), columns.size())};
  }
  /// H d
  PanelSum slope_of(std::span<const int32_t> columns, int64_t from) {
    told_.clear();
    for (size_t j = static_cast<size_t>(from); j < static_cast<size_t>(from) + columns.size(); ++j)
      told_.push_back(codes_.values()[j] - w_[j]);
    return {slope_.data(), columns, told_};
  }
  /// What the columns since begin_block() take from those to come, from the start of their span.
  PanelSum handed_on() {
    return {target_.data() + block_ / HessianFactor::kSpan * HessianFactor::kSpan, moved_, told_};
  }
  /// What the columns that changed since begin_block() do to the others.
  PanelSum changed() { return {slope_.data(), moved_, told_}; }
  bool has_changed() const { return !moved_.empty(); }

  void begin_block(int64_t j) {
    block_ = j;
    block_end_ = std::min(j + kBlock, cols());
    moved_.clear();
    told_.clear();
  }

  void set_energy() {
    energy_ = dot(row_slope_, w_);
    const double extra = (static_cast<double>(setting_.along_row) - 1) / energy_;
    pull_ = energy_ > 0 && std::isfinite(extra) ? static_cast<float>(extra) : 0;
  }

  void load() {
    for (int64_t b = 0; b * block_weights() < cols(); ++b) codes_.load(b, blocks_);
  }
  void store() {
    for (int64_t b = 0; b * block_weights() < cols(); ++b) codes_.store(b, blocks_);
  }

  // --- from the left

  /// Scales for the block that starts at column j, from what its weights are to be by now.
  void choose_scales(int64_t j) {
    const auto from = static_cast<size_t>(j), n = static_cast<size_t>(block_weights());
    const int64_t block = j / block_weights();
    setting_.format.encode(std::span{target_}.subspan(from, n), {std::span{h_.weight}.subspan(from, n), {}},
                           Effort::normal, blocks_ + block * setting_.format.block_bytes);
    codes_.load(block, blocks_);
  }

  void round(int64_t j) {
    if (setting_.search)
      round_group(j);
    else
      hand_on(j, codes_.choose(j, at(target_, j)));
  }

  // --- over all columns

  void clear_slope() { std::ranges::fill(slope_, 0.0f); }
  void set_along() {
    const double along = dot(row_slope_, codes_.values()) - energy_;
    along_ = static_cast<float>(along);
  }

  /// True if the code of column j (or the eight from j on) changed.
  bool descend(int64_t j) { return setting_.search ? descend_group(j) : descend_weight(j); }

  /// d^T H d with the part along the row; slope_ and along_ are as the codes are.
  double error() const {
    double along = dot(row_slope_, codes_.values()) - energy_;
    return dot(slope_, codes_.values()) - dot(slope_, w_) + static_cast<double>(pull_) * along * along;
  }

  /// Multiplies the scales by what makes error() least; slope_ follows.
  void restore_gain() {
    const double wy = dot(row_slope_, codes_.values());
    const double yy = dot(slope_, codes_.values()) + wy;  // y^T H y
    const double pull = static_cast<double>(pull_);
    const double gain = (wy + pull * wy * energy_) / (yy + pull * wy * wy);
    if (!(gain > 0.5 && gain < 2)) return;
    const auto bytes = static_cast<size_t>(setting_.format.row_bytes(cols()));
    if (!multiply_scales(setting_.format.id, {blocks_, bytes}, static_cast<float>(gain))) return;
    load();
    const auto g = static_cast<float>(gain);
    for (size_t j = 0; j < slope_.size(); ++j) slope_[j] = g * slope_[j] + (g - 1) * row_slope_[j];
  }

 private:
  int64_t block_weights() const { return codes_.block_weights(); }
  static float at(std::span<const float> values, int64_t j) { return values[static_cast<size_t>(j)]; }
  void add(float* y, const float* x, float scale, int64_t n) const { add_scaled_(y, x, scale, n); }

  /// Column j is y: later columns of its span make up for it, those of its block at once.
  void hand_on(int64_t j, float y) {
    const float short_by = at(w_, j) - y;
    add(target_.data() + j + 1, h_.factors_after(j), short_by, block_end_ - j - 1);
    tell(j, short_by);
  }
  void tell(int64_t j, float amount) {
    moved_.push_back(static_cast<int32_t>(j - block_));
    told_.push_back(amount);
  }

  void round_group(int64_t j) {
    GroupCost cost;  // what the eight leave to pay once all later columns have made up for them
    for (int k = 0; k < kGroup; ++k)
      for (int l = 0; l <= k; ++l) {
        float sum = factor(j + l, j + k) * at(h_.weight, j + k);
        for (int m = k + 1; m < kGroup; ++m)
          sum += factor(j + l, j + m) * at(h_.weight, j + m) * factor(j + k, j + m);
        cost.s[k][l] = cost.s[l][k] = sum;
      }
    for (int k = 0; k < kGroup; ++k) {
      cost.b[k] = 0;
      for (int l = 0; l < kGroup; ++l) cost.b[k] -= cost.s[k][l] * at(target_, j + l);
    }
    const int64_t g = j / kGroup;
    float y[kGroup];
    const GroupCodes chosen =
        setting_.search->choose(cost, codes_.scale(g), codes_.group(g), target_.data() + j);
    setting_.search->values(chosen, codes_.scale(g), y);
    codes_.set_group(g, chosen, y);
    for (int k = 0; k < kGroup; ++k) hand_on(j + k, y[k]);
  }
  float factor(int64_t j, int64_t k) const { return j == k ? 1.0f : h_.factor(j, k); }

  bool descend_weight(int64_t j) {
    const float before = codes_.value(j), u = at(row_slope_, j);
    const float slope = at(slope_, j) + pull_ * u * along_, bend = h_.moment_row(j)[j] + pull_ * u * u;
    const float after = codes_.choose(j, before - slope / bend);
    if (after == before) return false;
    move(j, after - before);
    return true;
  }

  bool descend_group(int64_t j) {
    const int64_t g = j / kGroup;
    GroupCost cost;
    float near[kGroup], y[kGroup];
    for (int k = 0; k < kGroup; ++k) {
      const float* row = h_.moment_row(j + k) + j;
      const float pulled = pull_ * at(row_slope_, j + k);
      float slope = at(slope_, j + k) + pulled * along_;
      for (int l = 0; l < kGroup; ++l) cost.s[k][l] = row[l] + pulled * at(row_slope_, j + l);
      near[k] = codes_.value(j + k) - slope / cost.s[k][k];
      for (int l = 0; l < kGroup; ++l) slope -= cost.s[k][l] * codes_.value(j + l);
      cost.b[k] = slope;
    }
    const GroupCodes chosen = setting_.search->choose(cost, codes_.scale(g), codes_.group(g), near);
    if (chosen == codes_.group(g)) return false;
    setting_.search->values(chosen, codes_.scale(g), y);
    for (int k = 0; k < kGroup; ++k) move(j + k, y[k] - codes_.value(j + k));
    codes_.set_group(g, chosen, y);
    return true;
  }

  void move(int64_t j, float by) {
    if (by == 0) return;
    add(slope_.data() + block_, h_.moment_row(j) + block_, by, block_end_ - block_);
    tell(j, by);
    along_ += by * at(row_slope_, j);
  }

  const Setting& setting_;
  const HessianFactor& h_;
  const AddScaled add_scaled_ = kernels().add_scaled;
  std::span<const float> w_;
  std::byte* blocks_ = nullptr;
  RowCodes codes_;
  std::vector<float> target_;     // what columns not yet rounded are to be
  std::vector<float> row_slope_;  // H w
  std::vector<float> slope_;      // H d
  int64_t block_ = 0, block_end_ = 0;
  std::vector<int32_t> moved_;  // columns of the block that the others are to be told of, from its start
  std::vector<float> told_;     // and by how much
  double energy_ = 0;           // w^T H w
  float pull_ = 0;              // (along_row - 1) / energy
  float along_ = 0;             // w^T H d
};

/// Some rows that go through the columns side by side, a block of columns at a time.
class Batch {
 public:
  Batch(const Setting& setting, Matrix<const float> weights) : setting_(setting), every_(kBlock) {
    std::iota(every_.begin(), every_.end(), 0);
    for (int64_t r = 0; r < weights.rows; ++r) rows_.emplace_back(setting, weights.row(r));
    sum_moments([](Row& row, auto columns, int64_t from) { return row.row_slope_of(columns, from); });
    for (Row& row : rows_) row.set_energy();
  }

  /// Errors of the blocks as they are.
  std::vector<double> judge(std::span<std::byte> blocks) {
    use(blocks);
    for (Row& row : rows_) row.load();
    find_slopes();
    return errors();
  }

  /// Encodes the rows again; errors.
  std::vector<double> improve(std::span<std::byte> blocks) {
    use(blocks);
    feed_back();
    find_slopes();
    for (Row& row : rows_) row.restore_gain();
    descend();
    for (Row& row : rows_) {
      row.store();
      row.restore_gain();
    }
    find_slopes();
    return errors();
  }

 private:
  int64_t cols() const { return setting_.curvature.cols; }

  void use(std::span<std::byte> blocks) {
    const int64_t bytes = setting_.format.row_bytes(cols());
    for (size_t r = 0; r < rows_.size(); ++r) rows_[r].use(blocks.data() + static_cast<int64_t>(r) * bytes);
  }

  /// H times one vector of each row: sum(row, columns, from) is what columns from `from` on add to it.
  template <class Sum>
  void sum_moments(const Sum& sum) {
    for (int64_t j = 0; j < cols(); j += kBlock) {
      const auto columns = std::span{every_}.first(static_cast<size_t>(std::min(kBlock, cols() - j)));
      sums_.clear();
      for (Row& row : rows_) sums_.push_back(sum(row, std::span<const int32_t>{columns}, j));
      panels_.add(setting_.curvature.moment_row(j), cols(), static_cast<int64_t>(columns.size()), 0, cols(),
                  sums_);
    }
  }

  void find_slopes() {
    for (Row& row : rows_) row.clear_slope();
    sum_moments([](Row& row, auto columns, int64_t from) { return row.slope_of(columns, from); });
  }

  void feed_back() {
    const HessianFactor& h = setting_.curvature;
    for (int64_t block = 0; block < cols(); block += kBlock) {
      const int64_t end = std::min(block + kBlock, cols());
      sums_.clear();
      for (Row& row : rows_) {
        row.begin_block(block);
        for (int64_t j = block; j < end; j += setting_.unit()) {
          if (j % setting_.format.block_weights == 0) row.choose_scales(j);
          row.round(j);
        }
        sums_.push_back(row.handed_on());
      }
      const int64_t span = block / HessianFactor::kSpan * HessianFactor::kSpan;
      panels_.add(h.feedback.data() + block * h.span(), h.span(), end - block, end - span,
                  h.span_end(block) - span, sums_);
    }
    for (Row& row : rows_) row.store();
  }

  void descend() {
    std::vector<Row*> open, changed;
    for (Row& row : rows_) {
      row.set_along();
      open.push_back(&row);
    }
    for (int sweep = 0; sweep < kSweeps && !open.empty(); ++sweep) {
      std::vector<int64_t> changes(open.size());
      for (int64_t block = 0; block < cols(); block += kBlock) {
        const int64_t end = std::min(block + kBlock, cols());
        sums_.clear();
        for (size_t r = 0; r < open.size(); ++r) {
          open[r]->begin_block(block);
          for (int64_t j = block; j < end; j += setting_.unit()) changes[r] += open[r]->descend(j);
          if (open[r]->has_changed()) sums_.push_back(open[r]->changed());
        }
        const float* moments = setting_.curvature.moment_row(block);
        panels_.add(moments, cols(), end - block, 0, block, sums_);
        panels_.add(moments, cols(), end - block, end, cols(), sums_);
      }
      changed.clear();
      for (size_t r = 0; r < open.size(); ++r)
        if (changes[r]) changed.push_back(open[r]);
      open.swap(changed);
    }
  }

  std::vector<double> errors() const {
    std::vector<double> out;
    for (const Row& row : rows_) out.push_back(row.error());
    return out;
  }

  const Setting& setting_;
  std::vector<Row> rows_;
  std::vector<int32_t> every_;  // 0, 1, 2, ...
  std::vector<PanelSum> sums_;
  PanelSums panels_;
};

void encode_batch(const Setting& setting, Matrix<const float> weights, std::span<std::byte> blocks) {
  Batch batch{setting, weights};
  std::vector<std::byte> tried(blocks.size());
  const std::vector<double> before = batch.judge(blocks);
  const std::vector<double> after = batch.improve(tried);
  const auto bytes = blocks.size() / static_cast<size_t>(weights.rows);
  for (size_t r = 0; r < before.size(); ++r)
    if (after[r] < before[r]) std::memcpy(blocks.data() + r * bytes, tried.data() + r * bytes, bytes);
}

}  // namespace

bool has_second_order(const Format& format) {
  return block_codes(format.id) != nullptr;
}

void encode_second_order(const Format& format, Matrix<const float> weights, const ColumnWeights& columns,
                         const HessianFactor& curvature, Effort effort, std::span<std::byte> blocks, bool are_encoded) {
  if (!are_encoded) quantize(format, weights, columns, effort, blocks);
  const BlockCodes* codes = block_codes(format.id);
  if (!codes || weights.rows == 0) return;
  if (curvature.cols != weights.cols)
    throw Error{str("second moments of ", curvature.cols, " columns, the matrix has ", weights.cols), "",
                "use the imatrix that was made for this model"};
  std::optional<GroupSearch> search;
  if (codes->is_codebook()) search.emplace(*codes);
  const Setting setting{format, *codes, search ? &*search : nullptr, curvature, columns.along_row};
  const int64_t bytes = format.row_bytes(weights.cols);
  for (int64_t r = 0; r < weights.rows; r += kRows) {
    const int64_t rows = std::min(kRows, weights.rows - r);
    encode_batch(setting, {weights.data + r * weights.cols, rows, weights.cols},
                 blocks.subspan(static_cast<size_t>(r * bytes), static_cast<size_t>(rows * bytes)));
  }
}

}  // namespace snug
