#include "hf/tokenizer/sentencepiece.hpp"

#include <cmath>
#include <cstring>
#include <string_view>

#include "base/files/mapped_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Wire wire{};
  uint64_t value = 0;      // of a varint
  float real = 0;          // of four bytes
  std::string_view bytes;  // of a message or text
};

/// The fields of one protobuf message, one after another.
class Message {
 public:
  Message(std::string_view bytes, const char* start, const std::string& file)
      : rest_{bytes}, start_{start}, file_{file} {}

  bool done() const { return rest_.empty(); }

  Field next() {
    const uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    field.wire = static_cast<Wire>(tag & 7);
    switch (field.wire) {
      case Wire::varint:
        field.value = varint();
        break;
      case Wire::fixed64:
        take(8);
        break;
      case Wire::bytes:
        field.bytes = take(varint());
        break;
      case Wire::fixed32:
        std::memcpy(&field.real, take(4).data(), 4);
        break;
      default:
        refuse(str("wire type ", tag & 7, " is not known"));
    }
    return field;
  }

  Message inside(const Field& field) const {
    if (field.wire != Wire::bytes) refuse("a message is missing");
    return {field.bytes, start_, file_};
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw Error{str("not a SentencePiece model: ", problem), str(file_, ", offset ", rest_.data() - start_),
                "the file is damaged or of another kind; download it again"};
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return value;
    }
    refuse("a number of more than ten bytes");
  }

  std::string_view take(uint64_t count) {
    if (count > rest_.size()) refuse(str(count, " bytes wanted, ", rest_.size(), " left"));
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  const char* start_;
  const std::string& file_;
};

SentencePieces::Piece piece_of(Message message) {
  SentencePieces::Piece piece;
  while (!message.done()) {
    const Field field = message.next();
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = field.real;
    if (field.number == 3) {
      if (field.value < 1 || field.value > 6)
        message.refuse(str("piece kind ", field.value, " is not known"));
      piece.kind = static_cast<SentencePieces::Kind>(field.value);
    }
  }
  if (!std::isfinite(piece.score)) message.refuse("a score is no number");
  return piece;
}

/// The last value of a numeric field, `fallback` where it is not there.
uint64_t number_in(Message message, uint64_t number, uint64_t fallback) {
  while (!message.done())
    if (const Field field = message.next(); field.number == number && field.wire == Wire::varint)
      fallback = field.value;
  return fallback;
}

void check_is_bpe(uint64_t kind, const std::string& file) {
  if (kind == 2) return;
  throw Error{"the SentencePiece model is no byte-pair encoding", str(file, ", model_type ", kind),
              "only models of model_type BPE split words as GGUF's SentencePiece does"};
}

}  // namespace

SentencePieces read_sentence_pieces(const std::filesystem::path& path) {
  const MappedFile file{path};
  return parse_sentence_pieces({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                               path.string());
}

SentencePieces parse_sentence_pieces(std::string_view bytes, const std::string& name) {
  SentencePieces model;
  uint64_t kind = 1;  // Unigram, the default of the format
  for (Message message{bytes, bytes.data(), name}; !message.done();) {
    const Field field = message.next();
    if (field.number == 1) model.pieces.push_back(piece_of(message.inside(field)));
    if (field.number == 2) kind = number_in(message.inside(field), 3, kind);
    if (field.number == 3) model.leading_space = number_in(message.inside(field), 3, 1) != 0;
  }
  if (model.pieces.empty()) Message{{}, nullptr, name}.refuse("it has no pieces");
  check_is_bpe(kind, name);
  return model;
}

bool is_sentence_piece_model(const std::filesystem::path& path) {
  const MappedFile file{path};
  constexpr auto kPieceTag = std::byte{0x0A};  // field 1, a message: what every model begins with
  return !file.bytes().empty() && file.bytes()[0] == kPieceTag;
}

}  // namespace snug::hf
