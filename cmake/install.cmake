# The binary, one library with everything in it, the public headers, a CMake package, completions and the manual page.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(objects)
foreach(library IN LISTS SNUG_LIBRARIES)
  if(NOT library STREQUAL snug_cli)
    list(APPEND objects $<TARGET_OBJECTS:${library}>)
  endif()
endforeach()
add_library(libsnug STATIC ${objects})
set_target_properties(libsnug PROPERTIES OUTPUT_NAME snug EXPORT_NAME snug LINKER_LANGUAGE CXX)
target_include_directories(libsnug INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(libsnug INTERFACE cxx_std_20)

install(TARGETS snug RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(TARGETS libsnug EXPORT snug ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY include/snug DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(EXPORT snug NAMESPACE snug:: FILE snug-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/snug COMPONENT library)
configure_package_config_file(cmake/snug-config.cmake.in ${PROJECT_BINARY_DIR}/snug-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/snug)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/snug-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/snug-config.cmake ${PROJECT_BINARY_DIR}/snug-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/snug COMPONENT library)

# snug prints its own completions and manual, so they never fall behind the options.
set(shell_files ${PROJECT_BINARY_DIR}/snug.bash ${PROJECT_BINARY_DIR}/_snug ${PROJECT_BINARY_DIR}/snug.fish
                ${PROJECT_BINARY_DIR}/snug.1)
add_custom_command(OUTPUT ${shell_files}
  COMMAND snug completion bash > snug.bash
  COMMAND snug completion zsh > _snug
  COMMAND snug completion fish > snug.fish
  COMMAND snug man > snug.1
  DEPENDS snug WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)
add_custom_target(shell_files ALL DEPENDS ${shell_files})
install(FILES ${PROJECT_BINARY_DIR}/snug.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME snug
        COMPONENT program)
install(FILES ${PROJECT_BINARY_DIR}/_snug DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT program)
install(FILES ${PROJECT_BINARY_DIR}/snug.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)
install(FILES ${PROJECT_BINARY_DIR}/snug.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)

# The .deb has what a person runs; tools/package makes it.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # packing builds no tests
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME snug)
set(CPACK_PACKAGE_CONTACT "snug's maintainers <snug@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "fits a language model into a size")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME snug)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "librsvg2-2, fonts-dejavu-core")  # for reports as .png
set(CPACK_STRIP_FILES ON)
include(CPack)
