#include "snug/error.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

namespace snug {

Error::Error(std::string problem, std::string where, std::string remedy, Fault fault)
    : problem_(std::move(problem)), where_(std::move(where)), remedy_(std::move(remedy)), full_(problem_), fault_(fault) {
  if (!where_.empty()) full_.append("\n  where: ").append(where_);
  if (!remedy_.empty()) full_.append("\n  try:   ").append(remedy_);
}

Error io_error(const std::string& action, const std::string& where, const std::string& remedy) {
  return Error{"cannot " + action + ": " + std::strerror(errno), where, remedy, Fault::io};
}

}  // namespace snug
