#include <sstream>
#include <string>

#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/solve.hpp"

namespace snug {
namespace {

constexpr const char* kTitle = "snug certificate 1";

[[noreturn]] void refuse(const std::string& problem, int line) {
  throw Error{problem, str("line ", line, " of the certificate"), "write it again with the solver"};
}

template <class Number>
Number read(std::istringstream& words, int line) {
  Number number{};
  if (!(words >> number)) refuse("a number is missing, or is none", line);
  return number;
}

void read_order(std::istringstream& words, std::vector<uint32_t>& order, int line) {
  for (int64_t tensor = 0; words >> tensor;) {
    if (tensor < 0 || tensor > UINT32_MAX) refuse("a tensor's number is out of range", line);
    order.push_back(static_cast<uint32_t>(tensor));
  }
  if (!words.eof()) refuse("a tensor's number is none", line);
}

void read_line(const std::string& text, Certificate& certificate, int line) {
  std::istringstream words{text};
  std::string key, rest;
  words >> key;
  if (key == "loss") {
    certificate.loss = read<int64_t>(words, line);
  } else if (key == "price") {
    const auto num = read<int64_t>(words, line);
    certificate.prices.push_back({num, read<int64_t>(words, line)});
  } else if (key == "order") {
    read_order(words, certificate.order, line);
    return;
  } else {
    refuse(str("unknown field '", key, "'"), line);
  }
  if (words >> rest) refuse(str("'", rest, "' is too much"), line);
}

}  // namespace

std::string to_text(const Certificate& certificate) {
  std::ostringstream out;
  out << kTitle << "\nloss " << certificate.loss << "\n";
  for (const Price& p : certificate.prices) out << "price " << p.num << " " << p.den << "\n";
  out << "order";
  for (const uint32_t t : certificate.order) out << " " << t;
  out << "\n";
  return out.str();
}

Certificate parse_certificate(const std::string& text) {
  std::istringstream lines{text};
  std::string line;
  if (!std::getline(lines, line) || line != kTitle) refuse(str("it does not begin with '", kTitle, "'"), 1);
  Certificate certificate;
  for (int number = 2; std::getline(lines, line); ++number) read_line(line, certificate, number);
  if (certificate.prices.empty()) refuse("it has no price", 1);
  return certificate;
}

}  // namespace snug
