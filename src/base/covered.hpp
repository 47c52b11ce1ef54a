#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace snug {

/// Which bytes or rows of a tensor have been written: disjoint ranges, neighbours joined.
class Covered {
 public:
  /// Adds [begin, end); false, and nothing added, if a part of it was there already.
  bool add(int64_t begin, int64_t end) {
    if (begin >= end) return true;
    auto next = ranges_.lower_bound(begin);
    if (next != ranges_.end() && next->first < end) return false;
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (before->second > begin) return false;
      if (before->second == begin) {
        begin = before->first;
        ranges_.erase(before);
      }
    }
    if (next != ranges_.end() && next->first == end) {
      end = next->second;
      ranges_.erase(next);
    }
    ranges_.emplace(begin, end);
    return true;
  }

  bool is_whole(int64_t size) const {
    return size == 0 ||
           (ranges_.size() == 1 && ranges_.begin()->first == 0 && ranges_.begin()->second == size);
  }

 private:
  std::map<int64_t, int64_t> ranges_;  // begin to end
};

}  // namespace snug
