#include "eval/base_logits.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/files/file_kind.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr char kMagic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};
constexpr size_t kHeader = 20;
constexpr float kRounding = 0.01f;  // by which the largest log-probability may seem to be above 0
constexpr int64_t kMaxContext = int64_t{1} << 24, kMaxVocabulary = int64_t{1} << 26;

size_t row_bytes_for(int64_t vocabulary) {
  return static_cast<size_t>(2 * ((vocabulary + 1) / 2 * 2 + 4));
}

template <class T>
T read_at(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

void encode_row(std::span<const float> logits, std::byte* out) {
  const auto [low, high] = std::ranges::minmax(logits);
  const float least = std::max(low, high - 16);
  double sum = 0;
  for (const float l : logits) sum += static_cast<double>(std::exp(l - high));
  const float head[2] = {(high - least) / 65535.0f, least - high - static_cast<float>(std::log(sum))};
  std::memcpy(out, head, 8);
  for (size_t i = 0; i < logits.size(); ++i) {
    const float steps = logits[i] > least ? std::nearbyint((logits[i] - least) / head[0]) : 0.0f;
    const auto code = static_cast<uint16_t>(std::min(steps, 65535.0f));
    std::memcpy(out + 8 + 2 * i, &code, 2);
  }
}

}  // namespace

BaseLogitsWriter::BaseLogitsWriter(const std::filesystem::path& path, Existing existing, const Chunks& chunks,
                                   int64_t vocabulary)
    : vocabulary_{vocabulary},
      file_{path, existing,
            static_cast<int64_t>(kHeader + 4 * chunks.tokens.size()) +
                chunks.count() * chunks.scored() * static_cast<int64_t>(row_bytes_for(vocabulary))} {
  const int32_t numbers[3] = {static_cast<int32_t>(chunks.context), static_cast<int32_t>(vocabulary),
                              static_cast<int32_t>(chunks.count())};
  file_.write(std::as_bytes(std::span{kMagic}));
  file_.write(std::as_bytes(std::span{numbers}));
  file_.write(std::as_bytes(std::span{chunks.tokens}));
}

void BaseLogitsWriter::write_rows(const Activations& logits) {
  const size_t bytes = row_bytes_for(vocabulary_);
  std::vector<std::byte> rows(bytes * static_cast<size_t>(logits.count()));
  parallel_for(logits.count(),
               [&](int64_t r) { encode_row(logits.row(r), rows.data() + bytes * static_cast<size_t>(r)); });
  file_.write(rows);
}

BaseLogits::BaseLogits(const std::filesystem::path& path) : file_{path} {
  const std::span<const std::byte> bytes = file_.bytes();
  refuse_foreign("base-logits file", bytes, path.string());
  if (bytes.size() < kHeader || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    throw Error{"this is not a base-logits file", path.string(), "save the logits of the original again"};
  const int64_t context = read_at<uint32_t>(bytes, 8);
  vocabulary_ = read_at<int32_t>(bytes, 12);
  const int64_t count = read_at<int32_t>(bytes, 16);
  if (context < 4 || context > kMaxContext || vocabulary_ < 1 || vocabulary_ > kMaxVocabulary || count < 1)
    throw Error{str("a base-logits file of ", count, " chunks of ", context, " tokens with a vocabulary of ",
                    vocabulary_),
                path.string(), "the file is damaged; make it again"};
  chunks_.context = context;
  row_bytes_ = row_bytes_for(vocabulary_);
  // A chunk's bytes fit 64 bits; times the count they may not.
  const size_t chunk_bytes =
      4 * static_cast<size_t>(context) + static_cast<size_t>(chunks_.scored()) * row_bytes_;
  if ((bytes.size() - kHeader) / chunk_bytes < static_cast<size_t>(count))
    throw Error{str("the file holds fewer than its ", count, " chunks"), path.string(),
                "it is cut short; make it again"};
  chunks_.tokens.resize(static_cast<size_t>(count * context));
  std::memcpy(chunks_.tokens.data(), bytes.data() + kHeader, chunks_.tokens.size() * 4);
  if (std::ranges::any_of(chunks_.tokens, [&](int32_t t) { return t < 0 || t >= vocabulary_; }))
    throw Error{"a token is not in the vocabulary", path.string(), "the file is damaged; make it again"};
  first_row_ = kHeader + chunks_.tokens.size() * 4;
}

void BaseLogits::read(int64_t chunk, int64_t row, std::span<float> log_probabilities) const {
  const size_t at = first_row_ + static_cast<size_t>(chunk * chunks_.scored() + row) * row_bytes_;
  const auto scale = read_at<float>(file_.bytes(), at), least = read_at<float>(file_.bytes(), at + 4);
  if (!(scale >= 0 && std::isfinite(least) && scale * 65535 + least <= kRounding))
    throw Error{str("row ", row, " of chunk ", chunk, " holds no log-probabilities"), file_.path().string(),
                "the file is damaged; make it again"};
  for (size_t i = 0; i < log_probabilities.size(); ++i)
    log_probabilities[i] =
        scale * static_cast<float>(read_at<uint16_t>(file_.bytes(), at + 8 + 2 * i)) + least;
}

}  // namespace snug::infer
