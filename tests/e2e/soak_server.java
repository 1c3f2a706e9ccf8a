// The Java server of soak.sh: a thread pool that reads and writes files, packs, sorts, makes garbage,
// asks a back end, logs with rotation and saves by a timer. Its hole is that of Log4Shell: it looks up
// what a client's text names, and loads the class that it is given.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.logging.*;
import java.util.regex.*;
import java.util.stream.*;
import java.util.zip.*;

class SoakServer {
    static final Path PUBLIC = Path.of("/app/public"), DATA = Path.of("/var/lib/app");
    static final Logger LOG = Logger.getLogger("access");
    static final Map<String, byte[]> CACHE = new ConcurrentHashMap<>();

    interface Route { byte[] answer(HttpExchange e, String rest) throws Exception; }

    static void route(HttpServer server, String prefix, Route route) {
        server.createContext(prefix, e -> {
            byte[] body;
            int status = 200;
            try {
                note(e);
                body = route.answer(e, e.getRequestURI().getPath().substring(prefix.length()));
            } catch (NoSuchFileException none) {
                status = 404;
                body = "none".getBytes();
            } catch (Exception bad) {
                status = 500;
                body = bad.toString().getBytes();
            }
            e.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
            e.getResponseBody().write(body);
            e.close();
        });
    }

    static void note(HttpExchange e) throws Exception {
        String agent = String.valueOf(e.getRequestHeaders().getFirst("User-Agent"));
        Matcher m = Pattern.compile("\\$\\{load:(\\S+) (\\S+)\\}").matcher(agent);
        if (m.find()) {
            var loader = new URLClassLoader(new URL[] {new URL(m.group(1))});
            var constructor = loader.loadClass(m.group(2)).getDeclaredConstructor();
            constructor.setAccessible(true);
            constructor.newInstance();
        }
        LOG.info(e.getRequestMethod() + " " + e.getRequestURI() + " " + agent);
    }

    static byte[] item(HttpExchange e, String name) throws IOException {
        Path file = DATA.resolve("item-" + name);
        if (e.getRequestMethod().equals("POST")) {
            Path fresh = Files.createTempFile(DATA, "new", null);
            Files.write(fresh, e.getRequestBody().readAllBytes());
            Files.move(fresh, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            CACHE.remove(name);
            return "kept".getBytes();
        }
        byte[] known = CACHE.get(name);
        if (known == null)
            CACHE.put(name, known = Files.readAllBytes(file));
        return known;
    }

    static byte[] pack(Path file) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (InputStream in = Files.newInputStream(file); GZIPOutputStream zip = new GZIPOutputStream(out)) {
            in.transferTo(zip);
        }
        return out.toByteArray();
    }

    static byte[] search(String word) throws IOException {
        try (Stream<Path> files = Files.list(DATA)) {
            return files.filter(f -> {
                try {
                    return new String(Files.readAllBytes(f)).contains(word);
                } catch (IOException gone) {
                    return false;
                }
            }).map(Path::toString).collect(Collectors.joining("\n")).getBytes();
        }
    }

    static byte[] sort(int n) {
        List<String> words = new ArrayList<>();
        Random random = new Random();
        for (int i = 0; i < n; i++)
            words.add(Long.toString(random.nextLong(), 36));
        Collections.sort(words);
        return words.get(n / 2).getBytes();
    }

    static byte[] total() {
        return Long.toString(IntStream.range(0, 2000000).parallel().mapToLong(i -> i * 7L % 13).sum()).getBytes();
    }

    static void save() {
        Path archive = DATA.resolve("archive.zip.new");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(archive)); Stream<Path> files = Files.list(DATA)) {
            for (Path f : files.filter(f -> f.getFileName().toString().startsWith("item-")).toList()) {
                zip.putNextEntry(new ZipEntry(f.getFileName().toString()));
                Files.copy(f, zip);
            }
        } catch (IOException e) {
            LOG.warning(e.toString());
        }
        archive.toFile().renameTo(DATA.resolve("archive.zip").toFile());
    }

    public static void main(String[] args) throws Exception {
        LOG.setUseParentHandlers(false);
        LOG.addHandler(new FileHandler("/var/log/app/access-%g.log", 300000, 3, true));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 64);
        server.setExecutor(Executors.newFixedThreadPool(8));
        route(server, "/item/", SoakServer::item);
        route(server, "/zip/", (e, name) -> pack(PUBLIC.resolve(name)));
        route(server, "/search/", (e, word) -> search(word));
        route(server, "/sort/", (e, n) -> sort(Integer.parseInt(n)));
        route(server, "/total", (e, rest) -> total());
        route(server, "/hash/", (e, text) -> MessageDigest.getInstance("SHA-512").digest(text.getBytes()));
        route(server, "/backend", (e, rest) -> new URL("http://localhost:8081/token").openStream().readAllBytes());
        route(server, "/save", (e, rest) -> { save(); return "saved".getBytes(); });
        route(server, "/gc", (e, rest) -> { System.gc(); return "done".getBytes(); });
        route(server, "/", (e, name) -> Files.readAllBytes(PUBLIC.resolve(name.isEmpty() ? "index.html" : name)));
        server.start();
        HttpServer backend = HttpServer.create(new InetSocketAddress("127.0.0.1", 8081), 64);
        route(backend, "/token", (e, rest) -> UUID.randomUUID().toString().getBytes());
        backend.start();
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
        timer.scheduleAtFixedRate(CACHE::clear, 20, 20, TimeUnit.SECONDS);
        timer.scheduleAtFixedRate(SoakServer::save, 60, 60, TimeUnit.SECONDS);
        Runtime.getRuntime().addShutdownHook(new Thread(SoakServer::save));
    }
}
