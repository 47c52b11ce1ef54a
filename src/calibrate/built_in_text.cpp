#include "calibrate/built_in_text.hpp"

#include <string>

namespace snug {
namespace {

/// Each file is a string literal of its own: compilers need not take longer ones.
constexpr std::string_view kParts[] = {
#include "calibrate/text/part1.inc"
    ,
#include "calibrate/text/part2.inc"
    ,
#include "calibrate/text/part3.inc"
    ,
#include "calibrate/text/part4.inc"
    ,
#include "calibrate/text/part5.inc"
};

std::string joined() {
  std::string text;
  for (const std::string_view part : kParts) text += part;
  return text;
}

}  // namespace

std::string_view built_in_text() {
  static const std::string text = joined();
  return text;
}

}  // namespace snug
