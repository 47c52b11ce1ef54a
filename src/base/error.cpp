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

namespace {

/// What helps against a call that failed so, whatever it was for.
const char* remedy_for(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT: return "free some space, or use another disk";
    case EROFS: return "use a disk that may be written, or mount this one for writing";
    case EACCES:
    case EPERM: return "see who owns the file and its folder, or name another";
    case EIO: return "the disk may be faulty: see the system's log, or use another";
    case EMFILE:
    case ENFILE: return "allow more open files (ulimit -n)";
    case ENOMEM: return "free some memory, or use fewer threads";
    case ENOENT:
    case ENOTDIR: return "see whether the path is right";
    default: return "see whether the file, its folder and its disk are as they should be";
  }
}

}  // namespace

Error io_error(const std::string& action, const std::string& where, const std::string& remedy) {
  const int error = errno;
  return Error{"cannot " + action + ": " + std::strerror(error), where, remedy.empty() ? remedy_for(error) : remedy, Fault::io};
}

}  // namespace snug
