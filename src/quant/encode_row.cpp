#include "quant/encode_row.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace snug {
namespace {

constexpr int64_t kMost = 1024;  // weights looked at together; a multiple of every block
// Squares along the mean, against the diagonal, below which nothing is to be had.
constexpr double kWorthShifting = 0.003, kWorthAnotherLook = 0.03;

struct Errors : RowErrors {
  double total() const { return diagonal + along_mean * along_mean; }
  bool along_mean_exceeds(double share) const { return along_mean * along_mean > share * diagonal; }
  Errors operator+(const RowErrors& o) const { return {{diagonal + o.diagonal, along_mean + o.along_mean}}; }
  Errors operator-(const RowErrors& o) const { return {{diagonal - o.diagonal, along_mean - o.along_mean}}; }
};

/// Up to kMost weights of a row, with what their errors are weighed with. Lives on the stack.
struct Part {
  const RowWork& work;
  std::span<const float> x, mean;
  float weights[kMost], shift[kMost];  // as RowWork::weigh has them

  Part(const RowWork& row_work, std::span<const float> row, const ColumnWeights& columns, int64_t at,
       int64_t count)
      : work(row_work), x(row.subspan(at, count)), mean(columns.mean.subspan(at, count)) {
    work.weigh(columns.mean_square.data() + at, mean.data(), count, weights, shift);
  }

  /// sum m^2 / weight: how readily the part takes over a change of sum m d.
  double leverage(size_t from, size_t to) const {
    return work.sum_products(mean.data() + from, shift + from, static_cast<int64_t>(to - from));
  }

  /// The weights, those of from..to shifted by step m / weight.
  void aim(double step, size_t from, size_t to, float* target) const {
    std::memcpy(target, x.data(), x.size_bytes());
    work.aim(x.data() + from, shift + from, static_cast<float>(step), static_cast<int64_t>(to - from),
             target + from);
  }

  RowErrors errors(const float* decoded) const {
    return work.errors(decoded, x.data(), weights, mean.data(), static_cast<int64_t>(x.size()));
  }
};

class RowEncoder {
 public:
  RowEncoder(const RowWork& work, const Codec& codec, BlockShape shape, std::span<const float> row,
             const ColumnWeights& columns, std::byte* blocks)
      : work_(work),
        codec_(codec),
        shape_(shape),
        row_(row),
        columns_(columns),
        blocks_(blocks),
        piece_(std::max<int64_t>(shape.block_weights, 64)) {}

  /// Returns the error.
  double encode(bool hard) {
    const int64_t pieces = (cols() + piece_ - 1) / piece_;
    const int64_t tail =
        (pieces - (pieces + 3) / 4) * piece_;  // from here on each takes over the errors before it
    double leverage = tail < cols() ? leverage_from(tail) : 0;
    Errors all{};
    for (int64_t at = 0; at < cols();) {
      const int64_t count = std::min(at < tail ? std::min(kMost, tail - at) : piece_, cols() - at);
      const Part part{work_, row_, columns_, at, count};
      double step = 0;
      if (at >= tail) {
        if (all.along_mean_exceeds(kWorthShifting)) step = all.along_mean / (1 + leverage);
        leverage -= part.leverage(0, part.x.size());
      }
      all = all + encode_part(part, at, step, hard);
      at += count;
    }
    look_again(hard, all);
    return all.total();
  }

 private:
  int64_t cols() const { return static_cast<int64_t>(row_.size()); }
  std::byte* block_at(int64_t at) const { return blocks_ + at / shape_.block_weights * shape_.block_bytes; }

  double leverage_from(int64_t at) const {
    double sum = 0;
    for (; at < cols(); at += kMost) {
      const Part part{work_, row_, columns_, at, std::min(kMost, cols() - at)};
      sum += part.leverage(0, part.x.size());
    }
    return sum;
  }

  RowErrors encode_part(const Part& part, int64_t at, double step, bool hard) const {
    float target[kMost];
    const float* wanted = part.x.data();
    if (step != 0) {
      part.aim(step, 0, part.x.size(), target);
      wanted = target;
    }
    const auto count = static_cast<int64_t>(part.x.size());
    codec_.encode({wanted, part.weights, nullptr, count, hard, block_at(at)});
    codec_.decode(block_at(at), count, target);
    return part.errors(target);
  }

  /// Takes what is left along the mean out of the pieces that can take it over most readily, one after the
  /// other.
  void look_again(bool hard, Errors& all) const {
    const int64_t reach = codec_.recode ? kReach : piece_;
    double bound = INFINITY;
    for (int tries = 0; tries < 4 && all.along_mean_exceeds(kWorthAnotherLook); ++tries) {
      int64_t best = -1;
      double most = 0;
      for (int64_t from = 0; from < cols(); from += kMost) {
        const Part part{work_, row_, columns_, from, std::min(kMost, cols() - from)};
        for (size_t at = 0; at < part.x.size(); at += reach) {
          const double leverage = part.leverage(at, std::min(at + reach, part.x.size()));
          if (leverage <= most || leverage >= bound) continue;
          most = leverage;
          best = from + static_cast<int64_t>(at);
        }
      }
      if (best < 0) return;
      bound = most;
      take_over(best, most, hard, all);
    }
  }

  /// Encodes from `at` on against the row's error along the mean; keeps it where that lowers the whole error.
  void take_over(int64_t at, double leverage, bool hard, Errors& all) const {
    const int64_t start = at / piece_ * piece_;
    const Part part{work_, row_, columns_, start, std::min(piece_, cols() - start)};
    const auto count = part.x.size(), from = static_cast<size_t>(at - start);
    const size_t to = std::min(from + static_cast<size_t>(codec_.recode ? kReach : piece_), count);
    std::byte saved[kMost];
    const size_t bytes = count / shape_.block_weights * shape_.block_bytes;
    float target[kMost];
    codec_.decode(block_at(start), static_cast<int64_t>(count), target);
    const Errors others = all - part.errors(target), was = all;
    for (double share : {1.0, 0.6, 1.5}) {
      std::memcpy(saved, block_at(start), bytes);
      part.aim(share * was.along_mean / (1 + leverage), from, to, target);
      if (codec_.recode)
        codec_.recode({target, part.weights, static_cast<int>(from), static_cast<int>(to), block_at(start)});
      else
        codec_.encode({target, part.weights, nullptr, static_cast<int64_t>(count), hard, block_at(start)});
      codec_.decode(block_at(start), static_cast<int64_t>(count), target);
      const Errors now = others + part.errors(target);
      if (now.total() < all.total())
        all = now;
      else
        std::memcpy(block_at(start), saved, bytes);
      if (!hard) break;
    }
  }

  static constexpr int64_t kReach = 64;  // weights of a block that are coded anew

  const RowWork& work_;
  const Codec& codec_;
  const BlockShape shape_;
  std::span<const float> row_;
  const ColumnWeights& columns_;
  std::byte* blocks_;
  const int64_t piece_;  // encoded in one go where errors are to be taken over; whole blocks
};

}  // namespace

void encode_row(const RowWork& work, const Codec& codec, BlockShape shape, std::span<const float> row,
                const ColumnWeights& columns, Effort effort, std::byte* blocks) {
  const bool hard = effort == Effort::max, fine = shape.block_bytes >= shape.block_weights;
  if (fine || columns.mean.empty() || columns.mean_square.empty()) {
    codec.encode({row.data(), columns.mean_square.empty() ? nullptr : columns.mean_square.data(), nullptr,
                  static_cast<int64_t>(row.size()), hard, blocks});
    return;
  }
  RowEncoder encoder{work, codec, shape, row, columns, blocks};
  const double normal = encoder.encode(false);
  if (hard && encoder.encode(true) > normal) encoder.encode(false);
}

}  // namespace snug
