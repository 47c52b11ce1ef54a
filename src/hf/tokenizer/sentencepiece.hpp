#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace snug::hf {

/// The vocabulary of a SentencePiece model: what its file, tokenizer.model, says of every piece.
struct SentencePieces {
  enum class Kind : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  struct Piece {
    std::string text;
    float score = 0;
    Kind kind = Kind::normal;
  };
  std::vector<Piece> pieces;  // index = id
  bool leading_space = true;  // texts get a blank in front
};

/// Reads a serialized ModelProto. Throws Error with the offset where it is damaged, and for a model that is
/// no byte-pair encoding (a Unigram model splits words by another rule).
SentencePieces read_sentence_pieces(const std::filesystem::path& path);

/// The same from bytes; `where` names them in messages.
SentencePieces parse_sentence_pieces(std::string_view bytes, const std::string& where);

/// Whether a file looks like one: a model of OpenAI's tiktoken goes by the same name.
bool is_sentence_piece_model(const std::filesystem::path& path);

}  // namespace snug::hf
