#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "calibrate/collect.hpp"
#include "imatrix/imatrix_file.hpp"
#include "imatrix/imatrix_merge.hpp"

namespace snug::cli {

/// What `snug imatrix` says when it is done, and with --statistics.
std::string collected_text(const std::string& out, int64_t chunk_tokens, const CollectReport& report);
nlohmann::ordered_json collected_json(const std::string& out, int64_t chunk_tokens,
                                      const CollectReport& report);
std::string merged_text(const std::string& out, size_t files, const ImatrixMergeReport& report);
nlohmann::ordered_json merged_json(const std::string& out, size_t files, const ImatrixMergeReport& report);
std::string statistics_text(const Imatrix& imatrix);
nlohmann::ordered_json statistics_json(const Imatrix& imatrix);

}  // namespace snug::cli
