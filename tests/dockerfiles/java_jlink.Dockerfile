FROM eclipse-temurin:21 AS jre
RUN $JAVA_HOME/bin/jlink --add-modules java.base --strip-debug --output /jre
FROM debian:stable-slim
ENV JAVA_HOME=/opt/java
ENV PATH="${JAVA_HOME}/bin:${PATH}"
COPY --from=jre /jre $JAVA_HOME
