#include "calibrate/calibration.hpp"

#include <algorithm>
#include <string_view>

#include "base/files/file_kind.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "calibrate/built_in_text.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

void check_text(std::string_view text, const std::string& path) {
  if (text.empty()) throw Error{"the calibration text is empty", path, "name another file"};
  if (is_lfs_pointer(text))
    throw Error{"not a text: it is a Git LFS pointer in place of the file", path,
                "fetch the file itself: git lfs pull"};
  const std::string valid = infer::valid_utf8(text);
  const auto at = std::ranges::mismatch(text, valid).in1 - text.begin();
  if (at < static_cast<std::ptrdiff_t>(text.size()))
    throw Error{str("the calibration text is not UTF-8: byte ", at), path,
                "convert it, e.g. with iconv, or name another file"};
}

/// Chunks of a text start with BOS where the vocabulary wants that.
std::optional<int32_t> bos_of(const infer::Tokenizer& tokenizer) {
  return tokenizer.adds_bos() ? std::optional{tokenizer.bos()} : std::nullopt;
}

CalibrationTokens tokens_of(std::string_view text, const std::string& name, const infer::Model& model) {
  const infer::Tokenizer tokenizer{model.source()};
  return {tokenizer.encode(text, true, false), bos_of(tokenizer), name};
}

CalibrationTokens read_tokens(const std::string& path, const infer::Model& model) {
  const std::string text = read_text(path);
  check_text(text, path);
  return tokens_of(text, path, model);
}

}  // namespace

CalibrationTokens calibration_tokens(const CalibrationText& source, const infer::Model& model, Store* keep) {
  if (source.text == kBuiltInText) return tokens_of(built_in_text(), "the text that comes with snug", model);
  if (source.text != kSelfText) return read_tokens(source.text, model);
  CalibrationTokens text{write_self_text(model, source.self, keep),
                   {},
                   str("written by the model itself, seed ", source.self.seed)};
  if (const auto tokenizer = infer::tokenizer_if_usable(model.source())) text.bos = bos_of(*tokenizer);
  return text;
}

}  // namespace snug
