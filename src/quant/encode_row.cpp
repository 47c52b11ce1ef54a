#include "quant/encode_row.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace snug {
namespace {

constexpr int64_t kPiece = 1024;  // weights, at most; a multiple of every block

struct Errors {
  double diagonal = 0, along_mean = 0;
  double total() const { return diagonal + along_mean * along_mean; }
};

/// One piece of the row with room for all that is tried on it; lives on the stack.
class Piece {
 public:
  Piece(const Codec& codec, std::span<const float> x, std::span<const float> mean_square,
        std::span<const float> mean, bool hard, std::byte* blocks, size_t bytes)
      : codec_(codec), x_(x), mean_(mean), hard_(hard), blocks_(blocks), bytes_(bytes) {
    for (size_t j = 0; j < x.size(); ++j) {
      const float v = mean_square[j];
      weights_[j] = std::max(v - mean[j] * mean[j], 0.02f * v);  // sampling noise must not make a column free
      shift_[j] = weights_[j] > 0 ? mean[j] / weights_[j] : 0;
      leverage_ += static_cast<double>(mean[j]) * shift_[j];
    }
  }

  /// Encodes the piece so that its sum_j m_j d_j changes by about -along_mean; returns the errors it then
  /// has.
  Errors encode(double along_mean) {
    const double step = leverage_ < 1e30 ? along_mean / (1 + leverage_) : 0;
    for (size_t j = 0; j < x_.size(); ++j) {
      const float shifted = x_[j] - static_cast<float>(step * shift_[j]);
      target_[j] = std::isfinite(shifted) ? shifted : x_[j];
    }
    codec_.encode({target_, weights_, nullptr, size(), hard_, blocks_});
    return errors();
  }

  Errors errors() {
    codec_.decode(blocks_, size(), target_);
    Errors out;
    for (size_t j = 0; j < x_.size(); ++j) {
      const double d = static_cast<double>(target_[j]) - x_[j];
      out.diagonal += weights_[j] * d * d;
      out.along_mean += mean_[j] * d;
    }
    return out;
  }

  void save() { std::memcpy(saved_, blocks_, bytes_); }
  void restore() { std::memcpy(blocks_, saved_, bytes_); }

 private:
  int64_t size() const { return static_cast<int64_t>(x_.size()); }

  const Codec& codec_;
  std::span<const float> x_, mean_;
  const bool hard_;
  std::byte* blocks_;
  size_t bytes_;
  double leverage_ = 0;  // sum m^2 / w
  float weights_[kPiece], shift_[kPiece], target_[kPiece];
  std::byte saved_[kPiece];
};

class RowEncoder {
 public:
  RowEncoder(const Codec& codec, BlockShape shape, std::span<const float> row, const ColumnWeights& columns,
             std::byte* blocks)
      : codec_(codec), shape_(shape), row_(row), columns_(columns), blocks_(blocks) {
    // A quarter of the row, so that most of it is encoded once; whole super-blocks, so that pieces hold whole
    // blocks.
    piece_ = std::clamp((cols() / 4 + 255) / 256 * 256, int64_t{256}, kPiece);
  }

  /// Returns the error.
  double encode(bool hard) {
    Errors all;
    for (int64_t at = 0; at < cols(); at += piece_) {
      const Errors own = piece_at(at, hard).encode(0);
      all.diagonal += own.diagonal;
      all.along_mean += own.along_mean;
    }
    for (int64_t at = 0; at < cols() && all.along_mean * all.along_mean > 0.003 * all.diagonal; at += piece_)
      cancel(at, hard, all);
    return all.total();
  }

 private:
  int64_t cols() const { return static_cast<int64_t>(row_.size()); }

  Piece piece_at(int64_t at, bool hard) const {
    const auto from = static_cast<size_t>(at), n = static_cast<size_t>(std::min(piece_, cols() - at));
    return Piece{codec_,
                 row_.subspan(from, n),
                 columns_.mean_square.subspan(from, n),
                 columns_.mean.subspan(from, n),
                 hard,
                 blocks_ + at / shape_.block_weights * shape_.block_bytes,
                 n / shape_.block_weights * shape_.block_bytes};
  }

  /// Encodes one piece shifted against the row's error along the mean; keeps it where that lowers the whole
  /// error.
  void cancel(int64_t at, bool hard, Errors& all) const {
    Piece piece = piece_at(at, hard);
    const Errors before = piece.errors(), start = all;
    for (double share : {1.0, 0.6, 1.5}) {
      piece.save();
      const Errors after = piece.encode(share * start.along_mean);
      const Errors changed{start.diagonal - before.diagonal + after.diagonal,
                           start.along_mean - before.along_mean + after.along_mean};
      if (changed.total() < all.total())
        all = changed;
      else
        piece.restore();
      if (!hard) break;
    }
  }

  const Codec& codec_;
  const BlockShape shape_;
  std::span<const float> row_;
  const ColumnWeights& columns_;
  std::byte* blocks_;
  int64_t piece_;
};

}  // namespace

void encode_row(const Codec& codec, BlockShape shape, std::span<const float> row,
                const ColumnWeights& columns, Effort effort, std::byte* blocks) {
  const bool hard = effort == Effort::max, fine = shape.block_bytes >= shape.block_weights;
  if (fine || columns.mean.empty() || columns.mean_square.empty()) {
    codec.encode({row.data(), columns.mean_square.empty() ? nullptr : columns.mean_square.data(), nullptr,
                  static_cast<int64_t>(row.size()), hard, blocks});
    return;
  }
  RowEncoder encoder{codec, shape, row, columns, blocks};
  const double normal = encoder.encode(false);
  if (hard && encoder.encode(true) > normal) encoder.encode(false);
}

}  // namespace snug
