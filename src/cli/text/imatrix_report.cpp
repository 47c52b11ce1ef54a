#include "cli/text/imatrix_report.hpp"

#include <algorithm>
#include <cmath>

#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/text_table.hpp"
#include "base/printable.hpp"
#include "imatrix/imatrix_statistics.hpp"

namespace snug::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kTopInTable = 2, kTopInJson = 10;

std::string percent(double share) {
  return fixed(100 * share, share < 0.0995 ? 2 : 1) + " %";
}

std::string top_columns(const TensorStatistics& s) {
  std::string text;
  for (const TensorStatistics::Column& column : s.top)
    text += str(text.empty() ? "" : ", ", column.index, ": ", percent(column.share));
  return text;
}

std::string experts(const TensorStatistics& s) {
  if (s.never_hit + s.rarely_hit == 0) return "";
  return str("  ", s.mats, " experts: ", s.never_hit, " never, ", s.rarely_hit, " rarely hit");
}

std::string line(const TensorStatistics& s, size_t name_width) {
  return str(left(printable(s.tensor), name_width), right(significant(s.energy), 11),
             right(percent(s.share), 9), right(s.mean_share < 0 ? "-" : percent(s.mean_share), 9),
             right(fixed(s.entropy, 2), 9), right(fixed(s.effective, 1), 10), right(str(s.cols), 7), "  ",
             top_columns(s), experts(s), "\n");
}

}  // namespace

std::string collected_text(const std::string& out, int64_t chunk_tokens, const CollectReport& report) {
  std::string text = str("wrote ", out, ": ", show_count(report.tensors), " tensors over ",
                         show_count(report.chunks), " chunks of ", chunk_tokens, " tokens");
  if (report.inputs)
    text += str("\n  second moments of ", report.inputs, " inputs, in ", report.passes,
                report.passes > 1 ? " parts" : " part");
  if (report.model_reads > 0) text += str("\n  read the model ", fixed(report.model_reads, 1), " times");
  return text + str("\n  ", show_size(report.file_bytes), ", in ", show_duration(report.seconds),
                    report.resumed ? str("; ", report.resumed, " chunks were done before") : "");
}

ordered_json collected_json(const std::string& out, int64_t chunk_tokens, const CollectReport& report) {
  return {{"imatrix", out},
          {"file_bytes", report.file_bytes},
          {"tensors", report.tensors},
          {"second_moments", report.inputs},
          {"chunks", report.chunks},
          {"chunk_tokens", chunk_tokens},
          {"passes", report.passes},
          {"model_reads", report.model_reads},
          {"chunks_resumed", report.resumed},
          {"seconds", report.seconds}};
}

std::string merged_text(const std::string& out, size_t files, const ImatrixMergeReport& report) {
  std::string text = str("wrote ", out, ": ", files, " files, ", show_count(report.tensors), " tensors, ",
                         show_count(report.chunks), " chunks");
  if (report.inputs) text += str("\n  second moments of ", report.inputs, " inputs");
  if (report.differing_chunks) text += "\n  chunks of several lengths: the file names that of the first";
  if (report.in_some_only)
    text += str("\n  ", report.in_some_only, " tensors are not in all files: are these of one model?");
  if (report.means_dropped)
    text += str("\n  ", report.means_dropped, " tensors lose their means, which not all files have");
  if (report.groups_dropped)
    text += "\n  moments by groups of output rows are left out: the files group rows differently";
  return text;
}

ordered_json merged_json(const std::string& out, size_t files, const ImatrixMergeReport& report) {
  return {{"imatrix", out},
          {"files", files},
          {"tensors", report.tensors},
          {"second_moments", report.inputs},
          {"chunks", report.chunks},
          {"differing_chunks", report.differing_chunks},
          {"in_some_only", report.in_some_only},
          {"means_dropped", report.means_dropped},
          {"groups_dropped", report.groups_dropped}};
}

std::string statistics_text(const Imatrix& imatrix) {
  const std::vector<TensorStatistics> all = statistics_of(imatrix, kTopInTable);
  size_t width = 6;
  for (const TensorStatistics& s : all) width = std::max(width, printable(s.tensor).size());
  std::string text = str(left("tensor", width), right("sum E[x2]", 11), right("share", 9), right("mean", 9),
                         right("entropy", 9), right("eff. dim", 10), right("of", 7), "  heaviest columns\n");
  for (const TensorStatistics& s : all) text += line(s, width);
  return text +
         "share: of all tensors' sums. mean: share of the squared means. entropy in bits, and the effective\n"
         "number of columns (sum v)^2 / sum v^2: how evenly the columns v = E[x2] weigh.\n";
}

ordered_json statistics_json(const Imatrix& imatrix) {
  auto tensors = ordered_json::array();
  for (const TensorStatistics& s : statistics_of(imatrix, kTopInJson)) {
    ordered_json entry{
        {"tensor", printable(s.tensor)},
        {"cols", s.cols},
        {"matrices", s.mats},
        {"tokens", s.tokens},
        {"sum_mean_square", s.energy},
        {"share", s.share},
        {"mean_share", nullptr},
        {"entropy_bits", s.entropy},
        {"entropy_of_most", s.cols > 1 ? s.entropy / std::log2(static_cast<double>(s.cols)) : 1},
        {"effective_columns", s.effective},
        {"never_hit", s.never_hit},
        {"rarely_hit", s.rarely_hit},
        {"top", ordered_json::array()}};
    if (s.mean_share >= 0) entry["mean_share"] = s.mean_share;
    for (const TensorStatistics::Column& column : s.top)
      entry["top"].push_back({{"column", column.index}, {"share", column.share}});
    tensors.push_back(std::move(entry));
  }
  return {{"chunks", imatrix.chunks}, {"chunk_tokens", imatrix.chunk_tokens}, {"tensors", tensors}};
}

}  // namespace snug::cli
