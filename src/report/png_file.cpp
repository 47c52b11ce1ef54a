#include "report/png_file.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <memory>

#include "base/str.hpp"
#include "report/svg_file.hpp"
#include "snug/error.hpp"

namespace snug::report {
namespace {

constexpr int kWidth = 2000, kHeight = 920;  // twice the drawing's: sharp on screens of today
constexpr int kArgb32 = 0;                   // cairo's number of the format

struct Rectangle {  // as librsvg lays it out
  double x, y, width, height;
};

/// librsvg, and cairo and GObject that come with it, by their C interfaces.
class Drawing {
 public:
  Drawing() {
    if (!library_)
      throw Error{"a .png is drawn by librsvg, which is not here", "librsvg-2.so.2",
                  "install it (librsvg2-2 and fonts-dejavu-core on Debian and Ubuntu), or name the file .svg"};
    find(new_from_data_, "rsvg_handle_new_from_data"), find(render_, "rsvg_handle_render_document");
    find(new_surface_, "cairo_image_surface_create"), find(new_context_, "cairo_create");
    find(write_png_, "cairo_surface_write_to_png_stream");
    find(free_surface_, "cairo_surface_destroy"), find(free_context_, "cairo_destroy"), find(free_object_, "g_object_unref");
  }

  std::string png(const std::string& svg) const {
    const Held handle{new_from_data_(reinterpret_cast<const uint8_t*>(svg.data()), svg.size(), nullptr), free_object_};
    const Held surface{new_surface_(kArgb32, kWidth, kHeight), free_surface_};
    const Held context{new_context_(surface.get()), free_context_};
    const Rectangle whole{0, 0, kWidth, kHeight};
    std::string bytes;
    if (!handle || !render_(handle.get(), context.get(), &whole, nullptr) || write_png_(surface.get(), append, &bytes) != 0)
      throw Error{"librsvg cannot draw the curve", "", "name the file .svg, and draw it with another program"};
    return bytes;
  }

 private:
  using Free = void (*)(void*);
  using Held = std::unique_ptr<void, Free>;

  template <class Function>
  void find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (!function) throw Error{str("this librsvg has no ", name), "librsvg-2.so.2", "install 2.46 or later, or name the file .svg"};
  }

  static int append(void* bytes, const unsigned char* data, unsigned int length) {
    static_cast<std::string*>(bytes)->append(reinterpret_cast<const char*>(data), length);
    return 0;
  }

  void* const library_ = dlopen("librsvg-2.so.2", RTLD_NOW | RTLD_LOCAL);  // stays: GObject's types cannot be unloaded
  void* (*new_from_data_)(const uint8_t*, size_t, void**) = nullptr;
  int (*render_)(void*, void*, const Rectangle*, void**) = nullptr;
  void* (*new_surface_)(int, int, int) = nullptr;
  void* (*new_context_)(void*) = nullptr;
  int (*write_png_)(void*, int (*)(void*, const unsigned char*, unsigned int), void*) = nullptr;
  Free free_surface_ = nullptr, free_context_ = nullptr, free_object_ = nullptr;
};

}  // namespace

std::string to_png(const Report& report) {
  const std::string svg = to_svg(report);  // which refuses a report without a curve, whether there is a library or not
  return Drawing{}.png(svg);
}

}  // namespace snug::report
