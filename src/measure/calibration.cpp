#include "measure/calibration.hpp"

#include <algorithm>
#include <string_view>

#include "base/read_file.hpp"
#include "base/str.hpp"
#include "infer/tokenizer.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

void check_text(std::string_view text, const std::string& path) {
  if (text.empty()) throw Error{"the calibration text is empty", path, "name another file"};
  const std::string valid = infer::valid_utf8(text);
  const auto at = std::ranges::mismatch(text, valid).in1 - text.begin();
  if (at < static_cast<std::ptrdiff_t>(text.size()))
    throw Error{str("the calibration text is not UTF-8: byte ", at), path,
                "convert it, e.g. with iconv, or name another file"};
}

Calibration read_text(const std::string& path, const infer::Model& model) {
  const infer::Tokenizer tokenizer{model.file()};
  const std::string text = read_file(path);
  check_text(text, path);
  Calibration calibration{tokenizer.encode(text, true, false), {}, path};
  if (tokenizer.adds_bos()) calibration.bos = tokenizer.bos();
  return calibration;
}

}  // namespace

Calibration calibration_tokens(const CalibrationSource& source, const infer::Model& model) {
  return read_text(source.text, model);
}

}  // namespace snug
